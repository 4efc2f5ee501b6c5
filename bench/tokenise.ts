// How fast examples become tokens, from a file on disk to packed ids, in one thread and by workers.
//   node bench/tokenise.ts DIR [text|chat] [COPIES]   the tokenizer in DIR on the pairs that ship, as text or as messages, COPIES (16) times
//   python bench/tokenise-peer.py DIR FILE            Python's `tokenizers` and `datasets` on the texts that the first call leaves in FILE
// Wall time is what an idle machine gives; tokens a CPU second, what a core makes of the time that it gets on a busy one.
import { HhRow } from "@penchant/dsl/Dataset"
import type { Message, Pair } from "@penchant/dsl/Pair"
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

const shipped = fileURLToPath(new URL("../data/hh-rlhf/harmless-base/test.jsonl.gz", import.meta.url))

/** The same pair as turns; none where they do not alternate, which templates refuse. */
const asChat = (pair: Pair): ReadonlyArray<Pair> => {
  const parts = (pair.prompt as string).split(/\n\n(Human|Assistant):/).slice(1)
  const prompt = parts.flatMap((part, i): ReadonlyArray<Message> =>
    i % 2 === 0 && parts[i + 1]?.trim()
      ? [{ role: part === "Human" ? "user" : "assistant", content: parts[i + 1]!.trim() }]
      : []
  )
  const answer = (text: unknown): ReadonlyArray<Message> => [{ role: "assistant", content: String(text).trim() }]
  const alternate = prompt.length % 2 === 1 &&
    prompt.every(({ role }, i) => role === (i % 2 === 0 ? "user" : "assistant"))
  return alternate ? [{ ...pair, prompt, chosen: answer(pair.chosen), rejected: answer(pair.rejected) }] : []
}

const write = async (file: string, form: string, copies: number): Promise<void> => {
  const { take } = normaliserOf("hh")
  const pairs: Array<Pair> = []
  for await (const batch of rowBatches([shipped], HhRow, new AbortController().signal)) {
    for (const row of batch) {
      const pair = take(row) as Pair | undefined
      if (pair !== undefined) pairs.push(...(form === "chat" ? asChat(pair) : [pair]))
    }
  }
  const out = fs.openSync(file, "w")
  for (let copy = 0; copy < copies; copy++) {
    fs.writeSync(out, pairs.map((pair) => `${exampleLine({ ...pair, id: `${copy}/${pair.id}` })}\n`).join(""))
  }
  fs.closeSync(out)
}

const measure = async (directory: string, file: string, threads: number): Promise<void> => {
  const tokenizer = await Effect.runPromise(loadTokenizer(directory))
  const [start, cpu] = [performance.now(), process.cpuUsage()]
  const { report: { pairs, tokens } } = await Effect.runPromise(
    tokeniseFile(file, tokenizer, { maxLength: 4096, truncation: "drop" }, threads)
  )
  const seconds = (performance.now() - start) / 1000
  const { system, user } = process.cpuUsage(cpu)
  const cpuSeconds = (system + user) / 1e6
  console.log(JSON.stringify({
    workers: threads,
    pairs,
    tokens,
    seconds,
    cpuSeconds,
    perSecond: Math.round(tokens / seconds),
    perCpuSecond: Math.round(tokens / cpuSeconds)
  }))
}

const [directory, form = "text", copies = "16", workers] = process.argv.slice(2)
if (directory === undefined) throw new Error("name a folder with a tokenizer")
const file = path.join(os.tmpdir(), `penchant-bench-tokenise-${form}-${copies}.jsonl`)
if (workers !== undefined) await measure(directory, file, Number(workers))
else {
  await write(file, form, Number(copies))
  console.log(`${file}: ${(fs.statSync(file).size / 1e6).toFixed(0)} MB`)
  // Each in a process of its own: the code is cold once, as in a run.
  for (const count of ["0", "1", "2"]) {
    const args = [fileURLToPath(import.meta.url), directory, form, copies, count]
    console.log(execFileSync(process.execPath, args).toString().trim())
  }
}
