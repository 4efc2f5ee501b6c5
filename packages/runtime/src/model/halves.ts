// Half-precision bits to float32, exactly, since every bfloat16 and every float16 is a float32; and back, rounded to nearest,
// ties to even. What is beyond the largest becomes an infinity.

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

const float32Bits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length)

export const toBfloat16 = (values: Float32Array, to: Uint16Array): void => {
  const bits = float32Bits(values)
  for (let i = 0; i < bits.length; i++) to[i] = (bits[i]! + 0x7fff + (bits[i]! >>> 16 & 1)) >>> 16
}

/** An integer plus less than one, to the nearest. */
const nearest = (x: number): number => {
  const floor = Math.floor(x)
  const over = x - floor
  return over > 0.5 || (over === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

export const toFloat16 = (values: Float32Array, to: Uint16Array): void => {
  const bits = float32Bits(values)
  for (let i = 0; i < bits.length; i++) {
    const size = bits[i]! & 0x7fff_ffff
    const half = size >= 0x4780_0000 // 2^16
      ? 0x7c00
      : size < 0x3880_0000 // 2^-14: below are multiples of 2^-24
      ? nearest(Math.abs(values[i]!) * 2 ** 24)
      // The exponent's bias goes from 127 to 15; a carry out of the fraction belongs to it.
      : (size - 0x3800_0000 + 0xfff + (size >>> 13 & 1)) >>> 13
    to[i] = bits[i]! >>> 16 & 0x8000 | half
  }
}
