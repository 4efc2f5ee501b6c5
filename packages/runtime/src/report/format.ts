// Numbers and short lists as people read them.

const minus = (text: string): string => text.replace(/^-/, "−")

/** Fixed digits, a true minus sign, and no minus before a zero. */
export const fixed = (value: number, digits = 3): string => minus(value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"))

/** As `fixed`, with a plus before what is above zero: for changes. */
export const signed = (value: number, digits = 3): string => {
  const text = fixed(value, digits)
  return /^[−0.]+$/.test(text) || text.startsWith("−") ? text : `+${text}`
}

/** 260032 -> 260,032 */
export const grouped = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ",")

/** A setting, as one would type it: 0.0001 -> 1e-4, 0.002 -> 2e-3, 0.1 -> 0.1 */
export const setting = (value: string | number | boolean): string => {
  if (typeof value !== "number") return String(value)
  return value !== 0 && Math.abs(value) < 0.01 ? value.toExponential() : String(value)
}

/** Settings one by one, those of a group behind its name: `lora.rank`. */
export const settingsIn = (group: object): Record<string, string | number | boolean> =>
  Object.fromEntries(
    Object.entries(group).flatMap(([name, value]: [string, unknown]): Array<[string, string | number | boolean]> => {
      if (typeof value === "number" || typeof value === "boolean") return [[name, value]]
      if (typeof value !== "object" || value === null) return value === undefined ? [] : [[name, String(value)]]
      if (Array.isArray(value)) return [[name, value.join(" ")]]
      return Object.entries(settingsIn(value)).map(([inner, each]) => [`${name}.${inner}`, each])
    })
  )

/** Counted: `1 run`, `6 runs`. */
export const count = (n: number, noun: string): string => `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`

/** `a, b and c` */
export const list = (items: ReadonlyArray<string>): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`

/** `−1.87 to −0.42`; one number when both ends print alike. */
export const span = (values: ReadonlyArray<number>, show: (value: number) => string): string => {
  const [low, high] = [show(Math.min(...values)), show(Math.max(...values))]
  return low === high ? low : `${low} to ${high}`
}

export const seconds = (value: number): string =>
  value < 9.95 ? `${value.toFixed(1)} s` : value < 99.5 ? `${Math.round(value)} s` : `${(value / 60).toFixed(1)} min`

/** `0.578 (0.492 to 0.664)`; the number alone where there is no interval. */
export const rangeText = (
  { high, low, mean }: { readonly mean: number; readonly low: number; readonly high: number },
  show: (value: number) => string
): string => (high > low ? `${show(mean)} (${show(low)} to ${show(high)})` : show(mean))
