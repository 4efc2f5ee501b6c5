// Rotary tables of a session, made for as many positions as were met.
import type { Input } from "./Graph.ts"
import { tableOf } from "./reference/run.ts"

export interface RotaryTables<T> {
  /** For at least so many positions. */
  readonly of: (input: Input, positions: number) => T
  readonly close: () => void
}

/** Of an engine's tensors T. */
export const rotaryTables = <T extends { readonly shape: ReadonlyArray<number> }>(
  make: (values: Float64Array, shape: readonly [number, number]) => T,
  free: (table: T) => void
): RotaryTables<T> => {
  const made = new Map<Input, T>()
  return {
    of: (input, positions) => {
      const { source } = input
      if (source.kind !== "table") throw new Error(`${input.name} is no table`)
      const known = made.get(input)
      if (known !== undefined && known.shape[0]! >= positions) return known
      const count = Math.max(positions, 2 * (known?.shape[0] ?? 0))
      const table = make(tableOf(source, count), [count, source.frequencies.length])
      if (known !== undefined) free(known)
      made.set(input, table)
      return table
    },
    close: () => {
      for (const table of made.values()) free(table)
      made.clear()
    }
  }
}
