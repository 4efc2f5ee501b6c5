// Choosing among the examples of a file that is read twice and never held: once for what the choice depends on, once to
// copy what is kept, each line as it is.
import type { Example } from "@penchant/dsl/Pair"
import { pairBatches } from "./rowsFile.ts"
import { linesOf } from "./textFile.ts"

/** One number per example, such as its place in an order. */
export const numbersOf = async (
  file: string,
  number: (example: Example) => number,
  signal: AbortSignal
): Promise<Float64Array> => {
  let numbers = new Float64Array(1024)
  let count = 0
  for await (const batch of pairBatches(file, signal)) {
    if (count + batch.length > numbers.length) {
      const grown = new Float64Array(2 * (count + batch.length))
      grown.set(numbers)
      numbers = grown
    }
    for (const example of batch) numbers[count++] = number(example)
  }
  return numbers.slice(0, count)
}

/** The lines of the examples for which `keep` says so of their index. */
export async function* linesKept(
  file: string,
  keep: (index: number) => boolean,
  signal: AbortSignal
): AsyncGenerator<ReadonlyArray<string>> {
  let index = 0
  for await (const lines of linesOf(file, signal)) yield lines.filter((line) => line !== "" && keep(index++))
}
