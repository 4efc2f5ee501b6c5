// The artifact of a training run: a Hugging Face folder that also holds the optimiser, the cursor, the metrics of every
// step and the snapshots. Written by `train` and `extend`, read by `extend` and `snapshot`.
import { BadFile, type StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ModelState, OptimiserState } from "../compute/Engine.ts"
import { placesOf, trainedOf } from "../compute/places.ts"
import { decodeSafetensors, encodeSafetensors } from "../data/safetensors.ts"
import { isWeights } from "../model/files.ts"
import { isAdapter } from "../model/lora.ts"
import { peftFiles } from "../model/peft.ts"
import { saveModel } from "../model/save.ts"
import { type Cursor, flat, named, Position } from "../training/Checkpoint.ts"
import { StepMetrics } from "../training/StepMetrics.ts"
import type { Finished } from "../training/train.ts"
import { emptyFolder, fileOf, filesIn, inScratch, json, lines, readInput } from "./files.ts"
import type { Input, Job, Output } from "./Implementation.ts"

const Stored = Schema.fromJsonString(Position)
const Lines = Schema.Array(Schema.fromJsonString(StepMetrics))

export const snapshotName = (index: number): string => `snapshots/${index}.safetensors`

/** Of a run with adapters: they, and the weights that they stand beside, without which it could not be extended. */
export const adapterFolder = "adapter"
export const baseFolder = "base"

const writeAdapter = (folder: string, model: ModelState, base: string): Effect.Effect<void, StoreError> =>
  inScratch(folder, async () => {
    const write = async (name: string, files: Readonly<Record<string, Uint8Array>>) => {
      await fs.mkdir(path.join(folder, name))
      for (const [file, bytes] of Object.entries(files)) await fs.writeFile(path.join(folder, name, file), bytes)
    }
    await write(adapterFolder, peftFiles(model))
    await write(baseFolder, {})
    for (const name of (await fs.readdir(base)).filter((each) => each === "config.json" || isWeights(each))) {
      await fs.copyFile(path.join(base, name), path.join(folder, baseFolder, name))
    }
  })

/** `start` is the folder of the weights that were trained, `base` of those that adapters stand beside. */
export const writeTrained = Effect.fnUntraced(
  function*(
    job: Job,
    { cursor: { metrics, ...cursor }, model, optimiser, snapshots, speed }: Finished,
    start: string,
    base = start
  ): Effect.fn.Return<Output, StoreError> {
    const folder = yield* emptyFolder(job, "trained")
    const trained = trainedOf(model)
    const config = yield* inScratch(start, () => fs.readFile(path.join(start, "config.json"), "utf8"))
    yield* saveModel(folder, model, { tokenizer: start, config })
    yield* inScratch(folder, async () => {
      const { m, v } = optimiser
      await fs.mkdir(path.join(folder, "snapshots"))
      await fs.writeFile(path.join(folder, "optimiser.safetensors"), encodeSafetensors(named(trained, { m, v })))
      await fs.writeFile(path.join(folder, "cursor.json"), json(cursor))
      await fs.writeFile(path.join(folder, "metrics.jsonl"), lines(metrics))
      for (const [index, file] of snapshots.entries()) await fs.copyFile(file, path.join(folder, snapshotName(index)))
    })
    if (model.adapter !== undefined) yield* writeAdapter(folder, model, base)
    const beside = placesOf(model).reduce((sum, { name, size }) => sum + (isAdapter(name) ? size : 0), 0)
    return {
      kind: "Weights",
      meta: {
        parameters: model.parameters.length - beside,
        ...(model.frozen === undefined ? {} : { trained: trained.parameters.length }),
        steps: cursor.step,
        loss: metrics.at(-1)?.loss ?? null,
        snapshots: cursor.snapshots.map(({ step }) => step),
        // Out of memory changed the order of its sums: not the bits that another run of the same keys would give.
        ...(cursor.fit === undefined ? {} : { determinism: "seeded" })
      },
      ...(speed === undefined ? {} : { speed }),
      files: yield* filesIn(folder)
    }
  }
)

/** The cursor of a run that was written by `writeTrained`. */
export const readCursor = Effect.fnUntraced(function*(trained: Input): Effect.fn.Return<Cursor, BadFile> {
  const text = (file: string) => Effect.map(readInput(trained, file), (bytes) => new TextDecoder().decode(bytes))
  const bad = (file: string) => ({ message }: { readonly message: string }) =>
    new BadFile({ file: fileOf(trained, file), problem: message })
  const cursor = yield* Effect.mapError(
    Schema.decodeEffect(Stored)(yield* text("cursor.json")),
    bad("cursor.json")
  )
  const written = (yield* text("metrics.jsonl")).split("\n").filter((line) => line !== "")
  const metrics = yield* Effect.mapError(Schema.decodeEffect(Lines)(written), bad("metrics.jsonl"))
  return { ...cursor, metrics }
})

/** Adam's moments, in the order of the model's parameters. */
export const readOptimiser = Effect.fnUntraced(
  function*(trained: Input, model: ModelState, updates: number): Effect.fn.Return<OptimiserState, BadFile> {
    const file = fileOf(trained, "optimiser.safetensors")
    const bytes = yield* readInput(trained, "optimiser.safetensors")
    const { tensors } = yield* Effect.fromResult(decodeSafetensors(bytes, file))
    const moving = trainedOf(model)
    const [m, v] = [flat(moving, "m", tensors), flat(moving, "v", tensors)]
    if (m === undefined || v === undefined) {
      return yield* new BadFile({ file, problem: "holds no moments of this model's tensors" })
    }
    return { m, v, updates }
  }
)
