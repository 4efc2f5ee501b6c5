// Half-precision bits to float32, exactly: every bfloat16 and every float16 is a float32.
// Leaves out the other direction: weights are kept and written as float32.

/** bfloat16 is the upper half of a float32. */
export const bfloat16 = (bits: Uint16Array, to: Float32Array): void => {
  const out = new Uint32Array(to.buffer, to.byteOffset, to.length)
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16
}

/** float16: 1 sign, 5 exponent, 10 fraction bits; 65,536 values, so by table. */
export const float16 = (bits: Uint16Array, to: Float32Array): void => {
  const table = float16Table()
  for (let i = 0; i < bits.length; i++) to[i] = table[bits[i]!]!
}

let values: Float32Array | undefined
const float16Table = (): Float32Array => {
  values ??= Float32Array.from({ length: 65_536 }, (_, half) => {
    const sign = half < 32_768 ? 1 : -1
    const exponent = half >> 10 & 31
    const fraction = half & 1023
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  })
  return values
}
