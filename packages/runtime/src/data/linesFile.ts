// A file of JSON lines, written in batches as they come, so that what is written is never held whole.
import { StoreError } from "@penchant/dsl/Errors"
import { open } from "node:fs/promises"

/** Throws `StoreError`. Lines go out in the order they are given. */
export const writeLines = async <A>(
  at: string,
  batches: AsyncIterable<ReadonlyArray<A>>,
  line: (value: A) => string
): Promise<number> => {
  const attempt = async <B>(run: () => Promise<B>): Promise<B> => {
    try {
      return await run()
    } catch (error) {
      throw new StoreError({ path: at, problem: error instanceof Error ? error.message : String(error) })
    }
  }
  const file = await attempt(() => open(at, "w"))
  let count = 0
  // One batch is written while the next is made.
  let writing: Promise<void> | undefined
  try {
    for await (const batch of batches) {
      if (batch.length === 0) continue
      count += batch.length
      const text = batch.map((value) => `${line(value)}\n`).join("")
      await writing
      writing = attempt(() => file.appendFile(text))
      // It is awaited in its turn; until then its failure must not count as unhandled.
      writing.catch(() => undefined)
    }
    await writing
  } finally {
    await writing?.catch(() => undefined)
    await file.close()
  }
  return count
}
