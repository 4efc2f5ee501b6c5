// Prompts as the batches of a prefill.
import { type Batch, pack } from "../compute/Batch.ts"

/** Rows of prompts in one prefill: as a training micro-batch. */
const rowBudget = 4096

/** Consecutive prompts of a count that the engine takes (empty: any), and of few enough rows unless one alone has more. */
export const pieces = (
  prompts: ReadonlyArray<Int32Array>,
  counts: ReadonlyArray<number>
): ReadonlyArray<readonly [number, number]> => {
  const found: Array<readonly [number, number]> = []
  for (let at = 0; at < prompts.length;) {
    let rows = 0
    let count = 0
    while (at + count < prompts.length && (count === 0 || rows + prompts[at + count]!.length <= rowBudget)) {
      rows += prompts[at + count++]!.length
    }
    const taken = counts.findLast((each) => each <= count) ?? count
    found.push([at, at + taken])
    at += taken
  }
  return found
}

/** Prompts without branches: the head is asked for the last row of each. */
export const promptBatch = (prompts: ReadonlyArray<Int32Array>): Batch => {
  const offsets = [0]
  for (const { length } of prompts) offsets.push(offsets.at(-1)! + length)
  const tokens = new Int32Array(offsets.at(-1)!)
  prompts.forEach((prompt, g) => tokens.set(prompt, offsets[g]))
  return pack({
    tokens,
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(prompts, ({ length }) => length),
    branchLength: new Int32Array(0),
    sides: [],
    ids: prompts.map((_, g) => String(g)),
    columns: {}
  }, [...prompts.keys()])
}
