// A Hugging Face folder -> a model's state: config.json, and model.safetensors or its shards, as float32.
// Every tensor is checked against what the config says: a file that does not fit is refused before anything computes.
// Leaves out pickled weights (pytorch_model.bin), which can run code when opened.
import { BadFile, BadModel, type ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import { type FileHandle, open, readFile } from "node:fs/promises"
import * as path from "node:path"
import type { ModelState } from "../compute/Engine.ts"
import { decodeHeader, type Entry, tensorOf } from "../data/safetensors.ts"
import { architecture } from "./families.ts"
import type { TensorSpec } from "./Family.ts"
import { bfloat16, float16 } from "./halves.ts"

/** Where one tensor lies. */
interface Place {
  readonly file: string
  readonly handle: FileHandle
  /** Bytes before the first tensor of the file. */
  readonly header: number
  readonly entry: Entry
}

const reading = <A>(file: string, read: () => Promise<A>): Effect.Effect<A, BadFile> =>
  Effect.tryPromise({
    try: read,
    catch: (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT"
      return new BadFile({ file, problem: missing ? "no such file" : `cannot be read: ${(error as Error).message}` })
    }
  })

const readJson = Effect.fnUntraced(function*(file: string) {
  const text = yield* reading(file, () => readFile(file, "utf8"))
  return yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => new BadFile({ file, problem: `not JSON: ${(error as Error).message}` })
  })
})

const Index = Schema.Struct({ weight_map: Schema.Record(Schema.String, Schema.String) })

/** The files that hold the weights: one, or the shards that an index names. */
const weightFiles = Effect.fnUntraced(function*(dir: string) {
  const single = path.join(dir, "model.safetensors")
  const index = path.join(dir, "model.safetensors.index.json")
  if (existsSync(single)) return [single]
  if (!existsSync(index)) {
    const pickled = existsSync(path.join(dir, "pytorch_model.bin"))
    return yield* new BadFile({
      file: single,
      problem: "no such file",
      remedy: pickled
        ? "pytorch_model.bin is not read: convert it to safetensors"
        : "a model folder holds its weights there"
    })
  }
  const json = yield* readJson(index)
  const { weight_map } = yield* Schema.decodeUnknownEffect(Index)(json).pipe(
    Effect.mapError((error) => new BadFile({ file: index, problem: error.message }))
  )
  return [...new Set(Object.values(weight_map))].toSorted().map((name) => path.join(dir, path.basename(name)))
})

/** Reads [begin, end) of a file into `to`, in pieces: one read takes at most 2 GiB. */
const fill = async (handle: FileHandle, begin: number, to: Uint8Array): Promise<void> => {
  for (let at = 0; at < to.length;) {
    const { bytesRead } = await handle.read(to, at, Math.min(to.length - at, 2 ** 28), begin + at)
    if (bytesRead === 0) throw new Error("the file ended while it was read")
    at += bytesRead
  }
}

const openHeader: (
  file: string
) => Effect.Effect<ReadonlyArray<readonly [string, Place]>, BadFile, Scope.Scope> = Effect.fnUntraced(function*(file) {
  const handle = yield* Effect.acquireRelease(
    reading(file, () => open(file)),
    (opened) => Effect.promise(() => opened.close())
  )
  const start = yield* reading(file, async () => {
    const { size } = await handle.stat()
    const first = new Uint8Array(Math.min(8, size))
    await fill(handle, 0, first)
    // A length field beyond the file is for decodeHeader to refuse.
    const declared = first.length < 8 ? 0 : Number(new DataView(first.buffer).getBigUint64(0, true))
    const bytes = new Uint8Array(declared <= size - 8 ? 8 + declared : first.length)
    await fill(handle, 0, bytes)
    return { bytes, size }
  })
  const header = yield* Effect.fromResult(decodeHeader(start.bytes, start.size, file))
  return Object.entries(header.entries).map(([name, entry]) =>
    [name, { file, handle, header: header.length, entry }] as const
  )
})

const converters = {
  BF16: bfloat16,
  F16: float16
}

const readTensor = Effect.fnUntraced(function*(spec: TensorSpec, place: Place, to: Float32Array) {
  const { entry, file, handle, header } = place
  const bad = (problem: string) => new BadModel({ file, part: spec.name, problem })
  if (entry.shape.length !== spec.shape.length || entry.shape.some((size, i) => size !== spec.shape[i])) {
    return yield* bad(`has shape [${entry.shape}]; the config says [${spec.shape}]`)
  }
  if (entry.dtype === "F32") {
    const bytes = new Uint8Array(to.buffer, to.byteOffset, to.byteLength)
    yield* reading(file, () => fill(handle, header + entry.begin, bytes))
  } else if (entry.dtype === "BF16" || entry.dtype === "F16") {
    const bytes = new Uint8Array(entry.end - entry.begin)
    yield* reading(file, () => fill(handle, header + entry.begin, bytes))
    const { data } = tensorOf(entry, bytes)
    converters[entry.dtype](data as Uint16Array, to)
  } else return yield* bad(`has dtype ${entry.dtype}; supported are F32, BF16 and F16`)
  // x - x is 0 for numbers and NaN for NaN and the infinities.
  const at = to.findIndex((x) => x - x !== 0)
  if (at >= 0) return yield* bad(`holds ${to[at]} at element ${at}`)
})

/**
 * Loads a model folder. Fails with `BadFile` for a file that is missing or not what it should be, with `BadModel` naming
 * the config field or tensor for one that does not fit.
 */
export const loadModel: (dir: string) => Effect.Effect<ModelState, ModelError> = Effect.fn("loadModel")(
  function*(dir: string) {
    const configFile = path.join(dir, "config.json")
    const config = yield* readJson(configFile)
    const { prefix = "", tensors, unused } = yield* Effect.fromResult(Result.mapError(
      architecture(config),
      ({ field, problem }) => new BadModel({ file: configFile, part: field, problem })
    ))
    const files = yield* weightFiles(dir)
    const names = new Set(tensors.map((spec) => spec.name))
    const found = (yield* Effect.forEach(files, openHeader)).flat()
    const places = new Map(found.map(([name, place]) => [names.has(prefix + name) ? prefix + name : name, place]))
    const stray = [...places.keys()].find((name) => !names.has(name) && !unused(name))
    if (stray !== undefined) {
      return yield* new BadModel({
        file: places.get(stray)!.file,
        part: stray,
        problem: "is no tensor of the architecture that the config names"
      })
    }
    const sizes = tensors.map(({ shape }) => shape.reduce((a, b) => a * b, 1))
    const parameters = new Float32Array(sizes.reduce((a, b) => a + b, 0))
    let at = 0
    for (const [i, spec] of tensors.entries()) {
      const place = places.get(spec.name)
      if (place === undefined) {
        return yield* new BadModel({ file: files[0] ?? dir, part: spec.name, problem: "is missing" })
      }
      yield* readTensor(spec, place, parameters.subarray(at, at + sizes[i]!))
      at += sizes[i]!
    }
    return { config, names: [...names], shapes: tensors.map(({ shape }) => shape), parameters }
  },
  Effect.scoped
)
