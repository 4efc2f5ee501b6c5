// A Hugging Face folder -> a model's state: config.json, and model.safetensors or its shards, as float32.
// Every tensor is checked against what the config says: a file that does not fit is refused before anything computes.
import { BadModel, type ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as path from "node:path"
import type { ModelState } from "../compute/Engine.ts"
import { tensorOf } from "../data/safetensors.ts"
import { architecture } from "./families.ts"
import type { TensorSpec } from "./Family.ts"
import { bfloat16, float16 } from "./halves.ts"
import { fill, openHeader, type Place, readConfig, reading, weightFiles } from "./shards.ts"

const converters = {
  BF16: bfloat16,
  F16: float16
}

const isRead = (dtype: string): dtype is "F32" | "BF16" | "F16" => dtype === "F32" || Object.hasOwn(converters, dtype)

/** What the folder's config describes, beside the config itself. */
export const readArchitecture = Effect.fnUntraced(function*(dir: string) {
  const config = yield* readConfig(dir)
  const described = yield* Effect.fromResult(Result.mapError(
    architecture(config),
    ({ field, problem }) => new BadModel({ file: path.join(dir, "config.json"), part: field, problem })
  ))
  return { config, ...described }
})

/** What a folder's headers say: where each of the family's tensors lies. Fails as `loadModel`, except for values. */
const openModel = Effect.fnUntraced(function*(dir: string) {
  const { config, prefix, tensors, unused } = yield* readArchitecture(dir)
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
  const placed: Array<readonly [TensorSpec, Place]> = []
  for (const spec of tensors) {
    const place = places.get(spec.name)
    const bad = (problem: string) => new BadModel({ file: place?.file ?? files[0] ?? dir, part: spec.name, problem })
    if (place === undefined) return yield* bad("is missing")
    const { dtype, shape } = place.entry
    if (shape.length !== spec.shape.length || shape.some((size, i) => size !== spec.shape[i])) {
      return yield* bad(`has shape [${shape}]; the config says [${spec.shape}]`)
    }
    if (!isRead(dtype)) return yield* bad(`has dtype ${dtype}; supported are F32, BF16 and F16`)
    placed.push([spec, place])
  }
  return { config, placed }
})

const readTensor = Effect.fnUntraced(function*(
  { name }: TensorSpec,
  { entry, file, handle, header }: Place,
  to: Float32Array
) {
  const { begin, dtype, end } = entry
  const bytes = dtype === "F32"
    ? new Uint8Array(to.buffer, to.byteOffset, to.byteLength)
    : new Uint8Array(end - begin)
  yield* reading(file, () => fill(handle, header + begin, bytes))
  if (dtype === "BF16" || dtype === "F16") converters[dtype](tensorOf(entry, bytes).data as Uint16Array, to)
  // x - x is 0 for numbers and NaN for NaN and the infinities.
  const at = to.findIndex((x) => x - x !== 0)
  if (at >= 0) return yield* new BadModel({ file, part: name, problem: `holds ${to[at]} at element ${at}` })
})

/** Whether a folder holds what its config says, by the headers of its files: cheap, whatever its size. */
export const checkModel = (dir: string): Effect.Effect<void, ModelError> => Effect.scoped(Effect.asVoid(openModel(dir)))

/**
 * Loads a model folder. Fails with `BadFile` for a file that is missing or not what it should be, with `BadModel` naming
 * the config field or tensor for one that does not fit.
 */
export const loadModel: (dir: string) => Effect.Effect<ModelState, ModelError> = Effect.fn("loadModel")(
  function*(dir: string) {
    const { config, placed } = yield* openModel(dir)
    const sizes = placed.map(([{ shape }]) => shape.reduce((a, b) => a * b, 1))
    const parameters = new Float32Array(sizes.reduce((a, b) => a + b, 0))
    let at = 0
    for (const [i, [spec, place]] of placed.entries()) {
      yield* readTensor(spec, place, parameters.subarray(at, at += sizes[i]!))
    }
    return {
      config,
      names: placed.map(([{ name }]) => name),
      shapes: placed.map(([{ shape }]) => shape),
      parameters
    }
  },
  Effect.scoped
)
