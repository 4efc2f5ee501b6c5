// Bytes as people read them: powers of a thousand, as device makers count.

/** 1.4e9 -> `1.4 GB`, 31e6 -> `31 MB` */
export const bytes = (count: number): string =>
  count < 1e9 ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB` : `${(count / 1e9).toFixed(count < 1e11 ? 1 : 0)} GB`
