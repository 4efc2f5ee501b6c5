// What a run makes once and keeps to its end, by the object that it is derived from and a name.

export interface Memo<H> {
  readonly once: (of: object, key: string, make: () => H) => H
  /** Hands everything over to be freed. */
  readonly clear: () => ReadonlyArray<H>
}

/** `hold` makes a thing that outlives the scope in which it is asked for. */
export const memo = <H>(hold: (make: () => H) => H): Memo<H> => {
  const kept = new Map<object, Map<string, H>>()
  return {
    once: (of, key, make) => {
      const things = kept.get(of) ?? new Map<string, H>()
      kept.set(of, things)
      const made = things.get(key) ?? hold(make)
      things.set(key, made)
      return made
    },
    clear: () => {
      const all = Array.from(kept.values(), (things) => Array.from(things.values())).flat()
      kept.clear()
      return all
    }
  }
}
