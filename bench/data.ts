// How fast rows become pairs and pairs become tokens, and what that takes in memory.
//   node bench/data.ts [ROWS]        rows/s and peak memory of reading and normalising 10,000 and ROWS (1,000,000) rows
//   node bench/data.ts tokens DIR    tokens/s of the tokenizer in DIR, here and by worker threads
//   bench/data-peer.py FILE          the same map by Python's `datasets`, on the file that the first call leaves
import { HhRow } from "@penchant/dsl/Dataset"
import { writeLines } from "@penchant/runtime/data/linesFile"
import { normaliserOf } from "@penchant/runtime/data/normalisers"
import { rowBatches } from "@penchant/runtime/data/rows"
import { exampleLine } from "@penchant/runtime/data/rowsFile"
import { tokeniseFile } from "@penchant/runtime/data/tokeniseFile"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
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

/** Reads, checks, normalises and writes, as the steps `rows` and `pairs` do, in this process. */
const normalise = async (file: string): Promise<void> => {
  const { signal } = new AbortController()
  const start = performance.now()
  const rows = path.join(folder, "rows.jsonl")
  await writeLines(rows, rowBatches([file], HhRow, signal), ({ row }) => JSON.stringify(row))
  const read = performance.now()
  const { close, finish, take } = normaliserOf("hh")
  const count = await writeLines(
    path.join(folder, "pairs.jsonl"),
    async function*() {
      for await (const batch of rowBatches([rows], undefined, signal)) {
        yield batch.map(take).filter((example) => example !== undefined)
      }
    }(),
    exampleLine
  )
  finish()
  close()
  const end = performance.now()
  const usage = process.resourceUsage()
  console.log(JSON.stringify({
    pairs: count,
    seconds: { rows: (read - start) / 1000, pairs: (end - read) / 1000 },
    rowsPerSecond: Math.round(count / (end - start) * 1000),
    rowsPerCpuSecond: Math.round(count / ((usage.userCPUTime + usage.systemCPUTime) / 1e6)),
    peakMB: Math.round(usage.maxRSS / 1024)
  }))
}

const tokens = async (directory: string): Promise<void> => {
  await normalise(rowsFile(20_000))
  const tokenizer = await Effect.runPromise(loadTokenizer(directory))
  for (const threads of [0, 1, 2]) {
    const [start, cpu] = [performance.now(), process.cpuUsage()]
    const options = { maxLength: 4096, truncation: "drop" } as const
    const { report } = await Effect.runPromise(
      tokeniseFile(path.join(folder, "pairs.jsonl"), tokenizer, options, threads)
    )
    const seconds = (performance.now() - start) / 1000
    // On a busy machine the second figure says more: tokens a core makes in a second that it has.
    const { system, user } = process.cpuUsage(cpu)
    const perCpuSecond = Math.round(report.tokens / ((system + user) / 1e6))
    const perSecond = Math.round(report.tokens / seconds)
    console.log(JSON.stringify({ threads, tokens: report.tokens, seconds, perSecond, perCpuSecond }))
  }
}

const [what, directory] = process.argv.slice(2)
if (what === "one") await normalise(directory!)
else if (what === "tokens") await tokens(directory!)
else {
  // Each size in a process of its own: peak memory is of the process.
  for (const count of [10_000, Number(what ?? 1_000_000)]) {
    console.log(`${count} rows: ${execFileSync(process.execPath, [self, "one", rowsFile(count)]).toString().trim()}`)
  }
}
