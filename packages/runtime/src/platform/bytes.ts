// Bytes as people read them: powers of a thousand, as device makers count.

/** 1.4e9 -> `1.4 GB`, 31e6 -> `31 MB` */
export const bytes = (count: number): string =>
  count < 1e9 ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB` : `${(count / 1e9).toFixed(count < 1e11 ? 1 : 0)} GB`

const units: Readonly<Record<string, number>> = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30
}

/** "5GB" -> 5e9, "500MiB" -> 500 * 2^20, as huggingface_hub reads sizes; undefined for what is none. */
export const parseBytes = (text: string): number | undefined => {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([KMG]i?B)$/i.exec(text) ?? []
  const count = number === undefined ? NaN : Math.floor(Number(number) * units[unit.toUpperCase()]!)
  return count > 0 ? count : undefined
}
