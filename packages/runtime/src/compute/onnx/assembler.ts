// A WebAssembly assembler for straight loops over vectors: just the instructions that the kernels use.
// Instructions are byte lists that nest as expressions, so a kernel reads like its formula.
// https://webassembly.github.io/spec/core/binary

/** Bytes that leave one value on the stack, or none for statements. */
export type Code = ReadonlyArray<number>
export type ValueType = "i32" | "f32" | "f64" | "v128"
const typeCode: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b }

const unsigned = (value: number): Code => value < 0x80 ? [value] : [value & 0x7f | 0x80, ...unsigned(value >>> 7)]
const signed = (value: number): Code =>
  value >= -0x40 && value < 0x40 ? [value & 0x7f] : [value & 0x7f | 0x80, ...signed(value >> 7)]
const vector = (items: ReadonlyArray<Code>): Code => [...unsigned(items.length), ...items.flat()]
const sized = (bytes: Code): Code => [...unsigned(bytes.length), ...bytes]
const text = (value: string): Code => sized([...new TextEncoder().encode(value)])

const binary = (...opcode: Code) => (left: Code, right: Code): Code => [...left, ...right, ...opcode]
const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)]
/** 2^align bytes, no offset. */
const memory = (align: number): Code => [align, 0]

export const get = (local: number): Code => [0x20, ...unsigned(local)]
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)]
/** Runs the body, again as long as `more` is not 0. */
export const loop = (
  body: ReadonlyArray<Code>,
  more: Code
): Code => [0x03, 0x40, ...body.flat(), ...more, 0x0d, 0, 0x0b]

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  add: binary(0x6a),
  /** Unsigned less-than. */
  less: binary(0x49)
}
export const f64 = { add: binary(0xa0) }

const zeros = Array.from({ length: 16 }, () => 0)
const eight = (from: number): Code => Array.from({ length: 8 }, (_, i) => from + i)
export const v128 = {
  load: (address: Code): Code => [...address, ...simd(0x00), ...memory(4)],
  store: (address: Code, value: Code): Code => [...address, ...value, ...simd(0x0b), ...memory(4)],
  zero: [...simd(0x0c), ...zeros]
}
export const f32x4 = {
  splat: (value: Code): Code => [...value, ...simd(0x13)],
  sqrt: (value: Code): Code => [...value, ...simd(0xe3)],
  add: binary(...simd(0xe4)),
  sub: binary(...simd(0xe5)),
  mul: binary(...simd(0xe6)),
  div: binary(...simd(0xe7)),
  /** Lanes 2 and 3 moved to 0 and 1. */
  high: (value: Code): Code => [...value, ...value, ...simd(0x0d), ...eight(8), ...eight(0)]
}
export const f64x2 = {
  /** Lanes 0 and 1 of four float32 as float64, exactly. */
  promote: (value: Code): Code => [...value, ...simd(0x5f)],
  lane: (value: Code, lane: number): Code => [...value, ...simd(0x21), lane],
  add: binary(...simd(0xf0)),
  mul: binary(...simd(0xf2))
}

const magic: Code = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

export interface Kernel {
  readonly name: string
  readonly parameters: ReadonlyArray<ValueType>
  readonly result?: ValueType
  /** Locals after the parameters, all 0 at the start. */
  readonly locals: ReadonlyArray<ValueType>
  readonly body: ReadonlyArray<Code>
}

/** A module that exports the kernels and works on the memory imported as "engine" "memory". */
export const assemble = (kernels: ReadonlyArray<Kernel>): Uint8Array<ArrayBuffer> => {
  const section = (id: number, items: ReadonlyArray<Code>): Code => [id, ...sized(vector(items))]
  const types = (list: ReadonlyArray<ValueType>): Code => vector(list.map((type) => [typeCode[type]]))
  return Uint8Array.from([
    ...magic,
    ...section(
      1,
      kernels.map((
        { parameters, result }
      ) => [0x60, ...types(parameters), ...types(result === undefined ? [] : [result])])
    ),
    ...section(2, [[...text("engine"), ...text("memory"), 0x02, 0x00, 1]]),
    ...section(3, kernels.map((_, i) => unsigned(i))),
    ...section(7, kernels.map(({ name }, i) => [...text(name), 0x00, ...unsigned(i)])),
    ...section(
      10,
      kernels.map(({ body, locals }) =>
        sized([...vector(locals.map((type) => [1, typeCode[type]])), ...body.flat(), 0x0b])
      )
    )
  ])
}
