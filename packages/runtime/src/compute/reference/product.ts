// The matrix product of the reference engine, which takes nearly all of its time.
// Each element is one sum in the order of k, so a row's result never depends on which rows stand around it.

/** [rows, columns] -> [columns, rows]. */
export const transposed = (x: Float64Array, rows: number, columns: number): Float64Array => {
  const y = new Float64Array(x.length)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) y[c * rows + r] = x[r * columns + c]!
  }
  return y
}

/** y [m, n] += a [m, k] b [n, k]ᵀ. Tiles of 2 x 4 keep eight sums in registers. */
export const addProduct = (
  y: Float64Array,
  a: Float64Array,
  b: Float64Array,
  m: number,
  n: number,
  k: number
): void => {
  const evenM = m - m % 2
  const evenN = n - n % 4
  for (let j = 0; j < evenN; j += 4) {
    const b0 = j * k
    const b1 = b0 + k
    const b2 = b1 + k
    const b3 = b2 + k
    for (let i = 0; i < evenM; i += 2) {
      const a0 = i * k
      const a1 = a0 + k
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0
      for (let l = 0; l < k; l++) {
        const u = a[a0 + l]!
        const v = a[a1 + l]!
        const p = b[b0 + l]!
        const q = b[b1 + l]!
        const r = b[b2 + l]!
        const s = b[b3 + l]!
        s00 += u * p
        s01 += u * q
        s02 += u * r
        s03 += u * s
        s10 += v * p
        s11 += v * q
        s12 += v * r
        s13 += v * s
      }
      const y0 = i * n + j
      const y1 = y0 + n
      y[y0] = y[y0]! + s00
      y[y0 + 1] = y[y0 + 1]! + s01
      y[y0 + 2] = y[y0 + 2]! + s02
      y[y0 + 3] = y[y0 + 3]! + s03
      y[y1] = y[y1]! + s10
      y[y1 + 1] = y[y1 + 1]! + s11
      y[y1 + 2] = y[y1 + 2]! + s12
      y[y1 + 3] = y[y1 + 3]! + s13
    }
  }
  // What the tiles leave: the last column block, then the last row.
  edge(y, a, b, n, k, 0, m, evenN, n)
  edge(y, a, b, n, k, evenM, m, 0, evenN)
}

const edge = (
  y: Float64Array,
  a: Float64Array,
  b: Float64Array,
  n: number,
  k: number,
  fromI: number,
  toI: number,
  fromJ: number,
  toJ: number
): void => {
  for (let i = fromI; i < toI; i++) {
    for (let j = fromJ; j < toJ; j++) {
      let sum = 0
      for (let l = 0; l < k; l++) sum += a[i * k + l]! * b[j * k + l]!
      y[i * n + j] = y[i * n + j]! + sum
    }
  }
}
