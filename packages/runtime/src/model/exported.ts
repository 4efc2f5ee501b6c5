// The files of a model as they leave: weights of another type, or cut into shards with an index, under the names of
// transformers' save_pretrained. Tensors pass through one piece at a time, whatever their number and size.
import { type BadFile, BadModel } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readFile, writeFile } from "node:fs/promises"
import { byteLength, type Spec, tensorOf } from "../data/safetensors.ts"
import { adapterFiles, isWeights } from "./files.ts"
import { bfloat16, float16, toBfloat16, toFloat16 } from "./halves.ts"
import { configOf } from "./save.ts"
import { fill, openHeader, type Place } from "./shards.ts"
import { writeTensors, type Written } from "./writeWeights.ts"

/** Types of weights, as configs call them, and as safetensors does. */
export const dtypes = { float32: "F32", bfloat16: "BF16", float16: "F16" } as const
export type Dtype = keyof typeof dtypes

export interface Form {
  /** As stored when undefined: float32 of what was trained. */
  readonly dtype: Dtype | undefined
  /** Bytes of a file of weights, unless one tensor alone has more. */
  readonly maxShardSize: number
}

/** Name -> what writes the file, or where to copy it from. */
export type Exported = Readonly<
  Record<string, { readonly write: (at: string) => Promise<unknown> } | { readonly path: string }>
>

/** Elements that are in memory at once. */
const perPiece = 2 ** 22

const toFloat32 = { BF16: bfloat16, F16: float16 }
const fromFloat32 = { BF16: toBfloat16, F16: toFloat16 }
type Readable = (typeof dtypes)[Dtype]
const sizes: Readonly<Record<Readable, number>> = { F32: 4, BF16: 2, F16: 2 }
const isReadable = (dtype: string): dtype is Readable => Object.hasOwn(sizes, dtype)

/** The bytes of some elements, as another type. Throws `BadModel` where a value has no number in it. */
const converted = (
  name: string,
  { entry, file }: Place,
  bytes: Uint8Array,
  to: Readable,
  first: number
): Uint8Array => {
  const { dtype } = entry
  if (dtype === to) return bytes
  const { data } = tensorOf({ ...entry, shape: [] }, bytes)
  let values = data as Float32Array
  if (dtype !== "F32") toFloat32[dtype as "BF16"](data as Uint16Array, values = new Float32Array(data.length))
  if (to === "F32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bits = new Uint16Array(values.length)
  fromFloat32[to](values, bits)
  const largest = to === "F16" ? 0x7c00 : 0x7f80
  const over = bits.findIndex((half) => (half & 0x7fff) >= largest)
  if (over < 0) return new Uint8Array(bits.buffer)
  const type = to === "F16" ? "float16" : "bfloat16"
  throw new BadModel({
    file,
    part: name,
    problem: `holds ${values[over]} at element ${first + over}, which is beyond ${type}: export it as ${
      to === "F16" ? "bfloat16 or float32" : "float32"
    }`
  })
}

async function* pieces(name: string, place: Place, to: Readable): AsyncGenerator<Uint8Array> {
  const { entry: { begin, dtype, end }, handle, header } = place
  const width = sizes[dtype as Readable]
  for (let at = begin; at < end; at += perPiece * width) {
    const bytes = new Uint8Array(Math.min(perPiece * width, end - at))
    await fill(handle, header + at, bytes)
    yield converted(name, place, bytes, to, (at - begin) / width)
  }
}

/** Tensors one after the other into files that hold no more than `most` bytes unless one alone does. */
const shardsOf = (
  tensors: ReadonlyArray<readonly [string, Written]>,
  most: number
): ReadonlyArray<ReadonlyArray<readonly [string, Written]>> => {
  const shards: Array<Array<readonly [string, Written]>> = []
  let held = Infinity
  for (const tensor of tensors) {
    const size = byteLength(tensor[1])
    if (held + size > most) {
      shards.push([])
      held = 0
    }
    shards.at(-1)!.push(tensor)
    held += size
  }
  return shards
}

const padded = (n: number): string => String(n).padStart(5, "0")

/** model.safetensors, or shards and their index. */
const weights = (tensors: ReadonlyArray<readonly [string, Written]>, most: number): Exported => {
  const shards = shardsOf(tensors, most)
  const writing = (shard: (typeof shards)[number]) => ({
    write: (at: string) => writeTensors(at, Object.fromEntries(shard))
  })
  if (shards.length === 1) return { "model.safetensors": writing(shards[0]!) }
  const nameOf = (i: number) => `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`
  const sum = (of: (spec: Spec) => number) => tensors.reduce((total, [, spec]) => total + of(spec), 0)
  const index = {
    metadata: {
      total_parameters: sum(({ shape }) => shape.reduce((a, b) => a * b, 1)),
      total_size: sum(byteLength)
    },
    weight_map: Object.fromEntries(
      shards.flatMap((shard, i) => shard.map(([name]) => [name, nameOf(i)] as const)).toSorted(([a], [b]) =>
        a < b ? -1 : 1
      )
    )
  }
  return {
    ...Object.fromEntries(shards.map((shard, i) => [nameOf(i), writing(shard)])),
    "model.safetensors.index.json": { write: (at) => writeFile(at, `${JSON.stringify(index, null, 2)}\n`) }
  }
}

const namesOfWeights = (name: string): boolean => isWeights(name) || name === adapterFiles.weights

/**
 * The files as they leave, given by name and place. Weights that already are as asked are copied as they are. Files may be written
 * until the scope ends; one whose values do not fit the type fails with `BadModel`.
 */
export const exported: (
  files: Readonly<Record<string, string>>,
  form: Form
) => Effect.Effect<Exported, BadFile | BadModel, Scope.Scope> = Effect.fnUntraced(
  function*(files, { dtype, maxShardSize }) {
    const stored = Object.entries(files).filter(([name]) => namesOfWeights(name))
    const opened = yield* Effect.forEach(
      stored.filter(([name]) => name.endsWith(".safetensors")),
      ([name, at]) => Effect.map(openHeader(at), (tensors) => ({ name, tensors }))
    )
    const others = Object.entries(files).filter(([name]) => !namesOfWeights(name))
    const asked = dtype === undefined ? undefined : dtypes[dtype]
    const bytesOf = (tensors: ReadonlyArray<readonly [string, Place]>) =>
      tensors.reduce((sum, [, { entry }]) => sum + entry.end - entry.begin, 0)
    const fits = opened.every(({ name, tensors }) =>
      (name === adapterFiles.weights || bytesOf(tensors) <= maxShardSize || tensors.length === 1) &&
      tensors.every(([, { entry }]) => asked === undefined || entry.dtype === asked)
    )
    if (fits) return Object.fromEntries(Object.entries(files).map(([name, path]) => [name, { path }]))
    const all: Array<readonly [string, Written]> = []
    for (const [name, place] of opened.flatMap(({ tensors }) => tensors)) {
      const { dtype: from, shape } = place.entry
      if (!isReadable(from)) {
        const problem = `has dtype ${from}; exported are F32, BF16 and F16`
        return yield* new BadModel({ file: place.file, part: name, problem })
      }
      const to = asked ?? from
      all.push([name, { dtype: to, shape, pieces: () => pieces(name, place, to) }])
    }
    const config = (path: string): Exported[string] =>
      dtype === undefined
        ? { path }
        : { write: async (at) => writeFile(at, configOf(await readFile(path, "utf8"), dtype)) }
    return {
      ...Object.fromEntries(others.map(([name, path]) => [name, name === "config.json" ? config(path) : { path }])),
      ...(files[adapterFiles.weights] === undefined
        ? weights(all, maxShardSize)
        : { [adapterFiles.weights]: { write: (at: string) => writeTensors(at, Object.fromEntries(all)) } })
    }
  }
)
