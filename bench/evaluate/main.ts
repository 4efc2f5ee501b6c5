// Evaluation speed on the CPU against lm-eval: the same 200 multiple-choice and 50 generation questions to the same model, in
// float32 on 2 threads, alternately. `node bench/evaluate/main.ts [--python PATH] [--repeats 2] [--out FILE]`; without lm-eval in that
// Python only our side runs. Times are of asking and judging; loading Python, Node or the model is not in them; CPU seconds say the
// same of a machine that others use. Best of the repeats.
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    repeats: { type: "string", default: "2" },
    out: { type: "string" }
  }
})
const here = (file: string): string => path.join(import.meta.dirname, file)
const data = path.resolve(import.meta.dirname, "../../data")

interface Measured {
  /** Seconds by task. */
  readonly seconds: Readonly<Record<string, number>>
  /** lm-eval's key of one metric -> its value, to see that both did the same. */
  readonly numbers: Readonly<Record<string, number>>
  readonly note: string
}
const run = (command: string, ...args: ReadonlyArray<string>): Measured | undefined => {
  try {
    const output = execFileSync(command, [...args, data], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return JSON.parse(output.trim().split("\n").at(-1)!) as Measured
  } catch (cause) {
    if ((cause as { readonly status?: number }).status === 3) return undefined
    throw cause
  }
}
const sides: Readonly<Record<string, () => Measured | undefined>> = {
  penchant: () => run(process.execPath, here("ours.ts")),
  "lm-eval": () => run(values.python, here("peer.py"))
}

const best = new Map<string, Record<string, number>>()
const last = new Map<string, Measured>()
for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
  for (const [side, measure] of Object.entries(sides)) {
    const measured = measure()
    if (measured === undefined) continue
    last.set(side, measured)
    const before = best.get(side) ?? {}
    best.set(
      side,
      Object.fromEntries(
        Object.entries(measured.seconds).map(([task, seconds]) => [task, Math.min(seconds, before[task] ?? Infinity)])
      )
    )
  }
}
for (const [side, { note, numbers }] of last) console.log(`${side}: ${note}\n  ${JSON.stringify(numbers)}`)
if (!best.has("lm-eval")) console.log(`no lm-eval in ${values.python}: nothing to compare with`)
const mine = best.get("penchant")!
for (const [side, seconds] of best) {
  for (const [task, each] of Object.entries(seconds)) {
    console.log(
      `${side.padEnd(10)} ${task.padEnd(21)} ${each.toFixed(2).padStart(8)} s  ${(each / mine[task]!).toFixed(2)}x`
    )
  }
}
if (values.out !== undefined) {
  const machine = {
    cpu: os.cpus()[0]?.model,
    threads: os.availableParallelism(),
    node: process.version,
    date: new Date().toISOString()
  }
  fs.writeFileSync(
    values.out,
    `${JSON.stringify({ machine, seconds: Object.fromEntries(best), last: Object.fromEntries(last) }, undefined, 2)}\n`
  )
}
