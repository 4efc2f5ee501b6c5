// How fast rows become pairs, and what that takes in memory. Tokens: bench/tokenise.ts.
//   node bench/data.ts [--python PYTHON] [--rows 10000,100000,1000000] [--out bench/results/data.json]
//       rows/s and peak memory of reading and normalising, deduplicating and profiling; with a Python that has `datasets`, of its
//       map of the same file too (bench/data-peer.py), the two in turn
import { HhRow } from "@penchant/dsl/Dataset"
import { duplicates } from "@penchant/runtime/data/duplicates"
import { linesKept } from "@penchant/runtime/data/examplesFile"
import { writeLines } from "@penchant/runtime/data/linesFile"
import { normaliserOf } from "@penchant/runtime/data/normalisers"
import { profileOf } from "@penchant/runtime/data/profile"
import { rowBatches } from "@penchant/runtime/data/rows"
import { exampleLine } from "@penchant/runtime/data/rowsFile"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { gunzipSync } from "node:zlib"

const self = fileURLToPath(import.meta.url)
const shipped = fileURLToPath(new URL("../data/hh-rlhf/harmless-base/test.jsonl.gz", import.meta.url))
const folder = path.join(os.tmpdir(), "penchant-bench-data")
fs.mkdirSync(folder, { recursive: true })

/** The rows that ship, over and over, each with a number of its own in its prompt. */
const rowsFile = (count: number): string => {
  const file = path.join(folder, `${count}.jsonl`)
  if (fs.existsSync(file)) return file
  const lines = gunzipSync(fs.readFileSync(shipped)).toString().trimEnd().split("\n")
    .map((line) => JSON.parse(line) as HhRow).filter(({ chosen, rejected }) => chosen.length + rejected.length < 900)
  const out = fs.openSync(file, "w")
  for (let from = 0; from < count; from += 1000) {
    const text = Array.from({ length: Math.min(1000, count - from) }, (_, i) => {
      const { chosen, rejected } = lines[(from + i) % lines.length]!
      const numbered = (transcript: string) => transcript.replace("Human:", `Human: (${from + i})`)
      return `${JSON.stringify({ chosen: numbered(chosen), rejected: numbered(rejected) })}\n`
    })
    fs.writeSync(out, text.join(""))
  }
  fs.closeSync(out)
  return file
}

const { signal } = new AbortController()
const at = (name: string): string => path.join(folder, name)

/** Reads, checks, normalises and writes, as the steps `rows` and `pairs` do, in this process. */
const normalise = async (file: string): Promise<void> => {
  await writeLines(at("rows.jsonl"), rowBatches([file], HhRow, signal), ({ row }) => JSON.stringify(row))
  const { close, finish, take } = normaliserOf("hh")
  await writeLines(
    at("pairs.jsonl"),
    async function*() {
      for await (const batch of rowBatches([at("rows.jsonl")], undefined, signal)) {
        yield batch.map(take).filter((example) => example !== undefined)
      }
    }(),
    exampleLine
  )
  finish()
  close()
}

/** What is done with a file of rows, or with the pairs that normalising it left. */
const works: Readonly<Record<string, (file: string) => Promise<unknown>>> = {
  normalise,
  dedupe: async () => {
    const { firstOf } = await duplicates(at("pairs.jsonl"), "pair", signal)
    const kept = linesKept(at("pairs.jsonl"), (index) => !firstOf.has(index), signal)
    await writeLines(at("kept.jsonl"), kept, (line) => line)
  },
  inspect: (file) => profileOf(file, [file], "hh", signal)
}

/** What the work needs, without the room that Node leaves its collector on a large machine. */
const smallHeap = ["--max-old-space-size=48", "--max-semi-space-size=2"]

interface Measured {
  readonly seconds: number
  /** User and system, of all threads. */
  readonly cpuSeconds: number
  readonly peakMB: number
}

/** One piece of work, alone in this process. */
const measure = async (work: string, file: string): Promise<void> => {
  const start = performance.now()
  await works[work]!(file)
  const seconds = (performance.now() - start) / 1000
  const { maxRSS, systemCPUTime, userCPUTime } = process.resourceUsage()
  const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6
  console.log(JSON.stringify({ seconds, cpuSeconds, peakMB: Math.round(maxRSS / 1024) } satisfies Measured))
}

const compare = (
  { out, python, rows }: { rows: string; python?: string | undefined; out?: string | undefined }
): void => {
  const results: Array<object> = []
  for (const count of rows.split(",").map(Number)) {
    const file = rowsFile(count)
    const said = (work: string, command: string, ...args: ReadonlyArray<string>): void => {
      const { cpuSeconds, peakMB, seconds } = JSON.parse(execFileSync(command, args).toString()) as Measured
      const result = {
        work,
        rows: count,
        rowsPerSecond: Math.round(count / seconds),
        rowsPerCpuSecond: Math.round(count / cpuSeconds),
        peakMB
      }
      results.push(result)
      console.log(JSON.stringify(result))
    }
    for (const work of Object.keys(works)) {
      said(work, process.execPath, self, "one", work, file)
      said(`${work}, small heap`, process.execPath, ...smallHeap, self, "one", work, file)
    }
    if (python === undefined) continue
    for (const processes of ["1", "2"]) {
      const cache = fs.mkdtempSync(path.join(folder, "datasets-"))
      const peer = fileURLToPath(new URL("data-peer.py", import.meta.url))
      said(`datasets, load and map, processes: ${processes}`, python, peer, file, cache, processes)
      fs.rmSync(cache, { recursive: true })
    }
  }
  if (out === undefined) return
  const machine = {
    cpu: os.cpus()[0]?.model.trim(),
    cores: os.availableParallelism(),
    node: process.version,
    load: os.loadavg()
  }
  fs.writeFileSync(
    out,
    `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine, results }, null, 1)}\n`
  )
}

const { positionals: [what, ...args], values } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: "string", default: "10000,100000,1000000" },
    python: { type: "string" },
    out: { type: "string" }
  }
})
if (what === "one") await measure(args[0]!, args[1]!)
else compare(values)
