// A pipeline of the Hub from `lock` to `publish`, killed with SIGKILL at seeded moments and started again until it is done;
// what it must then have left, and what it must never leave on the way.
import * as fs from "node:fs"
import * as path from "node:path"
import { unit } from "../../src/data/unit.ts"
import { filesOf, gitSha1, sha256, tokens } from "../hub/fakeHub.ts"
import { wrongBlobs } from "../hub/scene.ts"
import type { Document, Ended } from "./command.ts"
import { type HubPipelineName, hubPipelines, type HubScene } from "./hubPipelines.ts"

/** After so many milliseconds, or at the write of this number. */
export type Moment = { readonly after: number } | { readonly write: number }

const preload = path.join(import.meta.dirname, "killAtWrite.ts")

/** A run that does not end by itself within this many milliseconds hangs. */
const patience = 180_000

/** `lock`, `run`, `publish` as a folder and to the Hub; the last writes one JSON document. */
const commands = (file: string, name: HubPipelineName): Readonly<Record<string, ReadonlyArray<string>>> => ({
  lock: ["lock", file],
  run: ["run", file, "--json", "--set", "checkpointEvery=1"],
  folder: ["publish", hubPipelines[name].published, "./out"],
  upload: ["publish", hubPipelines[name].published, "me/aligned"]
})

/** Runs a command to its end, or kills it. */
const ended = async (
  { environment, place }: HubScene,
  args: ReadonlyArray<string>,
  moment?: Moment
): Promise<Ended & { readonly milliseconds: number; readonly writes: number }> => {
  const count = path.join(place.directory, "writes")
  fs.rmSync(count, { force: true })
  environment["NODE_OPTIONS"] = `--import ${preload}`
  environment["WRITES_TO"] = count
  environment["KILL_AT"] = moment !== undefined && "write" in moment ? String(moment.write) : ""
  const started = performance.now()
  const running = place.start(...args)
  for (const name of ["NODE_OPTIONS", "WRITES_TO", "KILL_AT"]) delete environment[name]
  let hung = false
  const timers = [
    setTimeout(() => {
      hung = true
      running.child.kill("SIGKILL")
    }, patience)
  ]
  if (moment !== undefined && "after" in moment) {
    timers.push(setTimeout(() => running.child.kill("SIGKILL"), moment.after))
  }
  const end = await running.ended
  for (const timer of timers) clearTimeout(timer)
  if (hung) throw new Error(`hangs: ${args.join(" ")}\n${end.stderr}`)
  const writes = fs.existsSync(count) ? Number(fs.readFileSync(count, "utf8")) : 0
  return { ...end, milliseconds: performance.now() - started, writes }
}

/** The last that a killed command said it was at: a kind of step, or a file; nothing before it says anything. */
const doing = (stderr: string): string => {
  const last = stderr.trimEnd().split("\n").findLast((line) => line.startsWith("{") && line.endsWith("}"))
  if (last === undefined) return "start"
  const { event, file, kind, label, unit } = JSON.parse(last) as Readonly<Record<string, string>>
  return [event, file ?? kind ?? unit ?? label].join(" ")
}

/** What a pipeline has left when all is done. */
export interface Left {
  readonly outputs: Readonly<Record<string, string>>
  readonly results: Document["results"]
  readonly lock: string
  readonly published: Readonly<Record<string, string>>
  readonly uploaded: Readonly<Record<string, string>>
  /** What lies in the working directory. */
  readonly beside: ReadonlyArray<string>
}

/** The card says how many seconds a training took, which no two runs share. */
const timeless = (name: string, bytes: Buffer): Buffer =>
  name === "README.md" ? Buffer.from(bytes.toString().replace(/^(Computed by .*) in .*$/gm, "$1")) : bytes

const hashes = (files: ReadonlyMap<string, Buffer>): Readonly<Record<string, string>> =>
  Object.fromEntries([...files].map(([name, bytes]) => [name, sha256(timeless(name, bytes))] as const).toSorted())

const leftOf = ({ fake, place: { directory } }: HubScene, stdout: string): Left => {
  const { results, steps } = JSON.parse(stdout) as Document
  return {
    outputs: Object.fromEntries(steps.map(({ outputs, planKey }) => [planKey, outputs.join()] as const).toSorted()),
    results,
    lock: fs.readFileSync(path.join(directory, "penchant.lock"), "utf8"),
    published: hashes(filesOf(path.join(directory, "out"))),
    uploaded: hashes(new Map(fake.repos.get("models/me/aligned")!.commits.at(-1)!.files as Map<string, Buffer>)),
    beside: fs.readdirSync(directory).toSorted()
  }
}

/** Everything under its final name that is not what the name says. Must hold at every moment, also right after a kill. */
export const wrongFiles = ({ place: { directory } }: HubScene): ReadonlyArray<string> => {
  const cache = path.join(directory, "hf", "hub")
  const store = path.join(directory, ".penchant", "store")
  const inStore = fs.globSync("*/*", { cwd: store }).filter((at) =>
    !path.basename(at).startsWith(".writing-") && sha256(fs.readFileSync(path.join(store, at))) !== path.basename(at)
  )
  // A snapshot's name is there only once its blob is.
  const dangling = fs.globSync("*/snapshots/*/**", { cwd: cache })
    .filter((at) => !at.endsWith(".incomplete") && !fs.existsSync(path.join(cache, at)))
  const refs = fs.globSync("*/refs/*", { cwd: cache })
    .filter((at) =>
      !at.endsWith(".incomplete") && !/^[0-9a-f]{40}$/.test(fs.readFileSync(path.join(cache, at), "utf8"))
    )
  return [...wrongBlobs(cache, (bytes) => [gitSha1(bytes), sha256(bytes)]), ...inStore, ...dangling, ...refs]
}

export interface Lived {
  readonly left: Left
  /** The command and moment of each kill, and what it was at. */
  readonly kills: ReadonlyArray<string>
  /** Per command: how long it took when nobody killed it, and how many writes it made. */
  readonly lengths: Readonly<Record<string, { readonly milliseconds: number; readonly writes: number }>>
}

/**
 * Every command until it succeeds. `kill` is asked before each start and says when to kill it, or nothing. Throws when one
 * fails, hangs, or leaves a wrong file.
 */
export const live = async (
  scene: HubScene,
  name: HubPipelineName,
  kill: (command: string) => Moment | undefined
): Promise<Lived> => {
  const kills: Array<string> = []
  const lengths: Record<string, { readonly milliseconds: number; readonly writes: number }> = {}
  const { directory } = scene.place
  scene.environment["HF_TOKEN"] = tokens.good
  let stdout = ""
  for (const [command, args] of Object.entries(commands(scene.file, name))) {
    for (;;) {
      // Killed after the folder was there: the work is done, and the command refuses to do it twice.
      if (command === "folder" && fs.existsSync(path.join(directory, "out"))) break
      const moment = kill(command)
      const end = await ended(scene, args, moment)
      const wrong = wrongFiles(scene)
      if (wrong.length > 0) {
        throw new Error(`wrong files after ${command} ${JSON.stringify(moment)}: ${wrong.join(", ")}`)
      }
      if (end.code === 0) {
        lengths[command] = { milliseconds: end.milliseconds, writes: end.writes }
        if (command === "run") stdout = end.stdout
        break
      }
      if (end.code !== null) throw new Error(`${command} failed after ${kills.join(", ")}: ${end.stderr}`)
      kills.push(`${command} ${JSON.stringify(moment)} at ${doing(end.stderr)}`)
    }
  }
  return { left: leftOf(scene, stdout), kills, lengths }
}

/** Numbers in [0, 1), the same for the same seed. */
export const seeded = (seed: number): () => number => {
  let drawn = 0
  return () => unit(`${seed}/${drawn++}`)
}
