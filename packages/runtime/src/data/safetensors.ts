// The safetensors format in memory: named tensors <-> one byte array, https://github.com/huggingface/safetensors.
// Strict both ways: what is read has every byte accounted for, what is written is the same bytes for the same tensors.
// Leaves out files (the caller reads and writes), arithmetic on half floats (their bits are handed over) and shards.
import { BadFile } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"

/** The array that holds each dtype; half floats and bfloat16 as raw bits, booleans as 0 and 1. */
export interface Arrays {
  readonly F64: Float64Array
  readonly F32: Float32Array
  readonly F16: Uint16Array
  readonly BF16: Uint16Array
  readonly I64: BigInt64Array
  readonly I32: Int32Array
  readonly U8: Uint8Array
  readonly BOOL: Uint8Array
}
export type DType = keyof Arrays
export type Tensor = {
  readonly [D in DType]: { readonly dtype: D; readonly shape: ReadonlyArray<number>; readonly data: Arrays[D] }
}[DType]

/** Where a tensor lies: bytes [begin, end) counted from the end of the header. */
export interface Entry {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
  readonly begin: number
  readonly end: number
}
export interface Header {
  /** Bytes before the first tensor: the length field and the JSON. */
  readonly length: number
  readonly entries: Readonly<Record<string, Entry>>
  readonly metadata: Readonly<Record<string, string>>
}

const width: { readonly [D in DType]: number } = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1, BOOL: 1 }
const isDType = (value: unknown): value is DType => typeof value === "string" && Object.hasOwn(width, value)

/** Bounds what a corrupt length field can make us allocate; the reference implementation has the same limit. */
const longestHeader = 100_000_000

const view = (
  dtype: DType,
  shape: ReadonlyArray<number>,
  buffer: ArrayBufferLike,
  at: number,
  count: number
): Tensor => {
  switch (dtype) {
    case "F64":
      return { dtype, shape, data: new Float64Array(buffer, at, count) }
    case "F32":
      return { dtype, shape, data: new Float32Array(buffer, at, count) }
    case "F16":
    case "BF16":
      return { dtype, shape, data: new Uint16Array(buffer, at, count) }
    case "I64":
      return { dtype, shape, data: new BigInt64Array(buffer, at, count) }
    case "I32":
      return { dtype, shape, data: new Int32Array(buffer, at, count) }
    case "U8":
    case "BOOL":
      return { dtype, shape, data: new Uint8Array(buffer, at, count) }
  }
}

/**
 * One tensor from its own bytes; a view when they are aligned for the dtype, else a copy. A caller that reads a large
 * file piece by piece uses this with `decodeHeader`.
 */
export const tensorOf = (entry: Entry, bytes: Uint8Array): Tensor => {
  const aligned = bytes.byteOffset % width[entry.dtype] === 0 ? bytes : bytes.slice()
  return view(entry.dtype, entry.shape, aligned.buffer, aligned.byteOffset, bytes.length / width[entry.dtype])
}

/** Elements of a shape; NaN when it is not one. */
const elements = (shape: unknown): number => {
  if (!Array.isArray(shape)) return NaN
  let count = 1
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return NaN
    count *= size
  }
  return Number.isSafeInteger(count) ? count : NaN
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Reads the header from the first bytes of a file of `size` bytes and checks that the tensors tile the rest without
 * overlap or gap. `bytes` may be the whole file or any start of it that covers the header.
 */
export const decodeHeader = (bytes: Uint8Array, size: number, file: string): Result.Result<Header, BadFile> => {
  const bad = (problem: string) =>
    Result.fail(new BadFile({ file, problem: `not a valid safetensors file: ${problem}` }))
  if (bytes.length < 8) return bad(`${bytes.length} bytes, too short for the header's length`)
  const declared = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (declared > BigInt(size - 8)) return bad(`header of ${declared} bytes in a file of ${size}`)
  if (declared > BigInt(longestHeader)) return bad(`header of ${declared} bytes, more than ${longestHeader}`)
  const length = 8 + Number(declared)
  if (bytes.length < length) return bad(`header of ${declared} bytes, of which ${bytes.length - 8} were read`)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, length)))
  } catch (error) {
    return bad(`header is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (!isRecord(json)) return bad("header is not a JSON object")
  const metadata: Array<[string, string]> = []
  const entries: Array<[string, Entry]> = []
  for (const [name, value] of Object.entries(json)) {
    if (!isRecord(value)) return bad(`"${name}" is not an object`)
    if (name === "__metadata__") {
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") return bad(`metadata "${key}" is not a string`)
        metadata.push([key, text])
      }
      continue
    }
    const { dtype, shape, data_offsets: offsets } = value
    if (!isDType(dtype)) {
      return bad(`"${name}" has dtype ${JSON.stringify(dtype)}; known are ${Object.keys(width).join(" ")}`)
    }
    const count = elements(shape)
    if (Number.isNaN(count)) return bad(`"${name}" has shape ${JSON.stringify(shape)}`)
    const [begin, end]: ReadonlyArray<unknown> = Array.isArray(offsets) && offsets.length === 2 ? offsets : []
    if (
      typeof begin !== "number" || typeof end !== "number" || !Number.isSafeInteger(begin) ||
      !Number.isSafeInteger(end) || begin < 0 || end < begin
    ) {
      return bad(`"${name}" has data_offsets ${JSON.stringify(offsets)}`)
    }
    if (end - begin !== count * width[dtype]) {
      return bad(`"${name}" has ${end - begin} bytes, but ${dtype} of shape [${shape}] takes ${count * width[dtype]}`)
    }
    entries.push([name, { dtype, shape: shape as ReadonlyArray<number>, begin, end }])
  }
  let at = 0
  for (const [name, { begin, end }] of entries.toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) return bad(`"${name}" starts at byte ${begin}, inside the tensor before it, which ends at ${at}`)
    if (begin > at) return bad(`bytes ${at} to ${begin}, before "${name}", belong to no tensor`)
    at = end
  }
  if (at > size - length) return bad(`truncated: the tensors take ${at} bytes, the file has ${size - length}`)
  if (at < size - length) return bad(`${size - length - at} bytes after the last tensor belong to none`)
  return Result.succeed({ length, entries: Object.fromEntries(entries), metadata: Object.fromEntries(metadata) })
}

/** All tensors of a file. Their arrays are views of `bytes` where alignment allows: copy before changing either. */
export const decodeSafetensors = (bytes: Uint8Array, file: string): Result.Result<
  { readonly tensors: Readonly<Record<string, Tensor>>; readonly metadata: Readonly<Record<string, string>> },
  BadFile
> =>
  Result.map(decodeHeader(bytes, bytes.length, file), ({ entries, length, metadata }) => ({
    metadata,
    tensors: Object.fromEntries(
      Object.entries(entries).map(([name, entry]) =>
        [name, tensorOf(entry, bytes.subarray(length + entry.begin, length + entry.end))] as const
      )
    )
  }))

/** What a header says of a tensor that is still to be written. */
export interface Spec {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
}

/** Bytes of a tensor. */
export const byteLength = ({ dtype, shape }: Spec): number => elements(shape) * width[dtype]

/**
 * The first bytes of a file of these tensors, and the order in which their own follow: wide dtypes first, then names in code unit
 * order (as the reference implementation writes), so that every tensor is aligned and equal tensors give equal bytes.
 */
export const encodeHeader = (
  tensors: Readonly<Record<string, Spec>>,
  metadata?: Readonly<Record<string, string>>
): { readonly header: Uint8Array<ArrayBuffer>; readonly names: ReadonlyArray<string>; readonly size: number } => {
  const names = Object.keys(tensors).toSorted((a, b) =>
    width[tensors[b]!.dtype] - width[tensors[a]!.dtype] || (a < b ? -1 : 1)
  )
  const entries: Array<[string, unknown]> = metadata === undefined
    ? []
    : [["__metadata__", Object.fromEntries(Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1)))]]
  let at = 0
  for (const name of names) {
    const { dtype, shape } = tensors[name]!
    if (name === "__metadata__") throw new Error(`no tensor can be called ${name}`)
    entries.push([name, { dtype, shape, data_offsets: [at, at += byteLength(tensors[name]!)] }])
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  // Spaces after the JSON align the tensors to 8 bytes.
  const length = 8 + Math.ceil(json.length / 8) * 8
  const header = new Uint8Array(length).fill(0x20, 8)
  new DataView(header.buffer).setBigUint64(0, BigInt(length - 8), true)
  header.set(json, 8)
  return { header, names, size: length + at }
}

/** One file of the tensors. A shape that does not fit is a defect. */
export const encodeSafetensors = (
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>
): Uint8Array<ArrayBuffer> => {
  for (const [name, { data, shape }] of Object.entries(tensors)) {
    if (elements(shape) !== data.length) {
      throw new Error(`tensor "${name}": shape [${shape}] does not hold ${data.length} elements`)
    }
  }
  const { header, names, size } = encodeHeader(tensors, metadata)
  const bytes = new Uint8Array(size)
  bytes.set(header)
  let to = header.length
  for (const name of names) {
    const { data } = tensors[name]!
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), to)
    to += data.byteLength
  }
  return bytes
}
