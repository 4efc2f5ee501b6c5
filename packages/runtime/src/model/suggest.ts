// "Did you mean": the names that are nearest to one that names nothing.

/** A `*` of a pattern takes any text, and of `{a,b}` the first is taken. */
const literal = (pattern: string): string => pattern.replaceAll(/\{([^,{}]*)[^{}]*\}/g, "$1").replaceAll(/\*+/g, "*")

/** Letters to put in, take out or change until the pattern is the name. */
const distance = (pattern: string, name: string): number => {
  let row = Array.from({ length: name.length + 1 }, (_, j) => j)
  for (const letter of pattern) {
    const free = letter === "*"
    const next = [row[0]! + (free ? 0 : 1)]
    for (let j = 1; j <= name.length; j++) {
      next.push(
        free
          ? Math.min(row[j]!, next[j - 1]!)
          : Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (letter === name[j - 1] ? 0 : 1))
      )
    }
    row = next
  }
  return row[name.length]!
}

/** Of the names at most two, the nearest; none where more than a third of the pattern's letters would change. */
const nearest = (pattern: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const asked = literal(pattern)
  // A part of a name is one change away from it.
  const far = names.map((name) => Math.min(distance(asked, name), distance(`*${asked}*`, name) + 1))
  const least = Math.min(...far)
  if (least > Math.max(1, asked.replaceAll("*", "").length / 3)) return []
  return names.filter((_, i) => far[i] === least).slice(0, 2)
}

/** ` (did you mean q_proj?)`, or nothing. */
export const didYouMean = (pattern: string, names: ReadonlyArray<string>): string => {
  const near = nearest(pattern, names)
  return near.length === 0 ? "" : ` (did you mean ${near.join(" or ")}?)`
}
