// The long version of the kill test: a real training run on the onnx engine, killed with SIGKILL at random moments and
// started again, over and over; the weights must end byte-identical to those of a run that nobody touched.
// `node bench/kills.ts [--kills 50] [--seed 1]`. Exit 1 when they differ.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: { kills: { type: "string", default: "50" }, seed: { type: "string", default: "1" } }
})
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

let state = Number(values.seed) >>> 0
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

const started = performance.now()
const whole = await run("whole")
const length = performance.now() - started
let killed = 0
let differing = 0
let runs = 0
while (killed < Number(values.kills)) {
  const home = `home-${runs++}`
  for (;;) {
    const { code, stdout } = await run(home, killed < Number(values.kills) ? 300 + random() * length : undefined)
    if (code === 0) {
      if (trained(stdout) !== trained(whole.stdout)) differing++
      break
    }
    killed++
  }
}
console.log(`${killed} kills over ${runs} runs of ${(length / 1000).toFixed(1)} s: ${differing} ended with other bytes`)
fs.rmSync(folder, { recursive: true, force: true })
process.exitCode = differing === 0 ? 0 : 1
