// The long version of the kill tests: pipelines killed with SIGKILL at random moments and started again, over and over; what
// they leave must be byte-identical to what a run leaves that nobody touched.
//   node bench/kills.ts training                a long training on the onnx engine, killed at random times
//   node bench/kills.ts hh-pythia               lock, run, publish as a folder and to the Hub, against a fake Hub: killed at
//   node bench/kills.ts ultrafeedback-mistral   random times and at random writes (torn, before or after them)
// `--kills 40`, `--seed 1`. Exit 1 when anything differs, is wrong on the way, or hangs.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { isDeepStrictEqual, parseArgs } from "node:util"
import { type HubPipelineName, hubPipelines, hubScene } from "../packages/runtime/test/cli/hubPipelines.ts"
import { live, seeded } from "../packages/runtime/test/cli/killed.ts"

const { positionals: [what = "training"], values } = parseArgs({
  allowPositionals: true,
  options: { kills: { type: "string", default: "40" }, seed: { type: "string", default: "1" } }
})
const kills = Number(values.kills)
const random = seeded(Number(values.seed))

const training = async (): Promise<boolean> => {
  const root = path.resolve(import.meta.dirname, "..")
  const main = path.join(root, "packages/runtime/src/cli/main.ts")
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-kills-"))
  fs.symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"))
  fs.symlinkSync(path.join(root, "data"), path.join(folder, "data"))
  fs.writeFileSync(
    path.join(folder, "p.ts"),
    `import { Dataset, HhRow, Model, normalise, parts, tokenise, train } from "@penchant/dsl"
import { dil } from "@penchant/objectives"
const base = Model.dir("data/models/stories260K")
const part = parts(normalise.hh(Dataset.file("data/hh-rlhf/harmless-base/test.jsonl.gz", HhRow)), { train: 96 })
const data = tokenise(part.train, base, { maxLength: 256, truncation: "leftOfPrompt" })
export default train(dil.lsif(), { model: base, data }, { learningRate: 1e-3, batchSize: 8, epochs: 2 })
`
  )
  const run = (home: string, killAfter?: number): Promise<{ readonly code: number | null; readonly stdout: string }> =>
    new Promise((resolve) => {
      const args = [main, "run", "p.ts", "--json", "--home", home, "--set", "checkpointEvery=2"]
      const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] })
      let stdout = ""
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk.toString()
      })
      if (killAfter !== undefined) setTimeout(() => child.kill("SIGKILL"), killAfter)
      child.on("close", (code) => resolve({ code, stdout }))
    })
  const trained = (stdout: string): string =>
    (JSON.parse(stdout) as { steps: ReadonlyArray<{ kind: string; outputs: ReadonlyArray<string> }> })
      .steps.find(({ kind }) => kind === "train")!.outputs[0]!
  const started = performance.now()
  const whole = await run("whole")
  const length = performance.now() - started
  let [killed, differing, runs] = [0, 0, 0]
  while (killed < kills) {
    const home = `home-${runs++}`
    for (;;) {
      const { code, stdout } = await run(home, killed < kills ? 300 + random() * length : undefined)
      if (code === 0) {
        if (trained(stdout) !== trained(whole.stdout)) differing++
        break
      }
      killed++
    }
  }
  console.log(
    `${killed} kills over ${runs} runs of ${(length / 1000).toFixed(1)} s: ${differing} ended with other bytes`
  )
  fs.rmSync(folder, { recursive: true, force: true })
  return differing === 0
}

/** Kills of one command in one life. */
const most: Readonly<Record<string, number>> = { lock: 2, run: 12, folder: 1, upload: 2 }

/** Rows of HH for training: three steps of each, so that trainings have something to go on from. */
const train = 150

/** The parts that are others than those of the untouched run. */
const different = (left: object, whole: object): string =>
  Object.entries(whole).flatMap(([part, expected]) => {
    const found: unknown = Reflect.get(left, part)
    if (isDeepStrictEqual(found, expected)) return []
    if (typeof expected !== "object" || Array.isArray(expected)) return [part]
    return Object.keys({ ...(found as object), ...(expected as object) })
      .filter((key) => !isDeepStrictEqual(Reflect.get(found as object, key), Reflect.get(expected as object, key)))
      .map((key) => `${part} ${key}`)
  }).join(", ")

const hub = async (name: HubPipelineName): Promise<boolean> => {
  const scene = () => hubScene(name, train)
  const untouched = await scene()
  const whole = await live(untouched, name, () => undefined)
  await untouched.close()
  const shown = Object.entries(whole.lengths).map(([command, { milliseconds, writes }]) =>
    `${command} ${(milliseconds / 1000).toFixed(1)} s, ${writes} writes`
  )
  console.log(`${name} untouched: ${shown.join("; ")}`)
  let [killed, differing, lives] = [0, 0, 0]
  while (killed < kills) {
    const one = await scene()
    // A connection that breaks now and then makes fetching last, so that it is hit.
    one.fake.fault = ({ route }) => route === "storage" && random() < 0.4 ? { cut: 4000 } : undefined
    try {
      const starts: Record<string, number> = {}
      const { kills: here, left } = await live(one, name, (command) => {
        starts[command] = (starts[command] ?? 0) + 1
        if (starts[command] > most[command]!) return undefined
        const { milliseconds, writes } = whole.lengths[command]!
        // Early moments more often than late ones: a command that goes on has less to do.
        const at = random() ** 3
        return random() < 0.5 ? { after: 100 + at * milliseconds } : { write: 1 + Math.floor(at * writes) }
      })
      killed += here.length
      lives += 1
      const same = isDeepStrictEqual(left, whole.left)
      if (!same) differing += 1
      if (!same) console.log(different(left, whole.left))
      console.log(`${same ? "same" : "OTHER"} after ${here.length} kills: ${here.join(", ")}`)
    } finally {
      await one.close()
    }
  }
  console.log(`${name}: ${killed} kills over ${lives} lives: ${differing} ended with other bytes`)
  return differing === 0
}

const isHub = (name: string): name is HubPipelineName => Object.hasOwn(hubPipelines, name)
process.exitCode = (isHub(what) ? await hub(what) : await training()) ? 0 : 1
