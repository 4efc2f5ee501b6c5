// Runs the command line as a person does: another process, its own state directory, its exit code and both streams.
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export const root = path.resolve(import.meta.dirname, "../../../..")
const main = path.join(root, "packages/runtime/src/cli/main.ts")
export const model = path.join(root, "data/models/stories260K")

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when stderr has the text. */
  readonly said: (text: string) => Promise<void>
}

/** A directory whose files resolve the packages of this workspace; removed by `close`. Commands get `environment` besides their own. */
export const folder = (environment: Readonly<Record<string, string>> = {}) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-cli-"))
  fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"))
  const write = (name: string, content: string | Uint8Array): void =>
    fs.writeFileSync(path.join(directory, name), content)
  const start = (...args: ReadonlyArray<string>): Running => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment }
    })
    let [stdout, stderr] = ["", ""]
    const listeners: Array<() => void> = []
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
      for (const listener of listeners) listener()
    })
    const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })))
    const said = (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stderr.includes(text)) resolve()
        }
        listeners.push(look)
        look()
        void ended.then(() => reject(new Error(`ended without saying "${text}":\n${stderr}`)))
      })
    return { child, ended, said }
  }
  return {
    directory,
    write,
    start,
    run: (...args: ReadonlyArray<string>): Promise<Ended> => start(...args).ended,
    close: (): void => fs.rmSync(directory, { recursive: true, force: true })
  }
}

export interface Document {
  readonly study?: string
  readonly steps: ReadonlyArray<{
    readonly label: string
    readonly kind: string
    readonly planKey: string
    readonly actionKey: string | null
    readonly verdict: string
    readonly why: ReadonlyArray<string>
    readonly seconds: number
    readonly outputs: ReadonlyArray<string>
    readonly speed?: Readonly<Record<string, number>>
    readonly memory?: (Readonly<Record<string, number>> & { readonly from: string }) | null
  }>
  readonly results: ReadonlyArray<{ readonly label: string; readonly metrics: Readonly<Record<string, number>> }>
}
export const document = (ended: Ended): Document => {
  if (ended.code !== 0) throw new Error(`exit ${ended.code}\n${ended.stderr}`)
  return JSON.parse(ended.stdout) as Document
}

const rows = Array.from({ length: 6 }, (_, i) => ({
  prompt: `Once upon a time there were ${i} dogs.`,
  chosen: ` They ran home${" again".repeat(i)}.`,
  rejected: ` They sat in the sun${" and ate".repeat(5 - i)}.`
}))
export const jsonl = rows.map((row) => `${JSON.stringify(row)}\n`).join("")

/** A pipeline on six rows of `rows.jsonl`; `epochs` makes it long, `extra` is a line of its own. */
export const pipeline = (
  {
    epochs = 2,
    extra = "",
    file = "rows.jsonl",
    from = model,
    objectives = "[dil.lsif(), dpo()]",
    truncation = "drop"
  } = {}
): string => `
import { chosenLogProb, Dataset, evaluate, grid, margin, Model, normalise, PlainRow, study, tokenise, train } from "@penchant/dsl"
import { dil, dpo, simpo } from "@penchant/objectives"
void simpo
const base = Model.named("stories260K", { dir: ${JSON.stringify(from)} })
const data = tokenise(normalise.plain(Dataset.file("${file}", PlainRow)), base, { maxLength: 64, truncation: "${truncation}" })
${extra}
export default study("small", grid({ objective: ${objectives} }), ({ objective }) =>
  evaluate(
    train(objective, { model: base, data }, { learningRate: 1e-3, batchSize: 3, epochs: ${epochs} }),
    [chosenLogProb(data, { against: base }), margin(data)]
  ))
`
