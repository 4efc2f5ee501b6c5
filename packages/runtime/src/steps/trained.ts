// The artifact of a training run: a Hugging Face folder that also holds the optimiser, the cursor, the metrics of every
// step and the snapshots. Written by `train` and `extend`, read by `extend` and `snapshot`.
import { BadFile, type StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ModelState, OptimiserState } from "../compute/Engine.ts"
import { decodeSafetensors, encodeSafetensors } from "../data/safetensors.ts"
import { saveModel } from "../model/save.ts"
import { type Cursor, flat, named, Position } from "../training/Checkpoint.ts"
import { StepMetrics } from "../training/StepMetrics.ts"
import type { Finished } from "../training/train.ts"
import { emptyFolder, fileOf, filesIn, inScratch, json, lines, readInput } from "./files.ts"
import type { Input, Job, Output } from "./Implementation.ts"

const Stored = Schema.fromJsonString(Position)
const Lines = Schema.Array(Schema.fromJsonString(StepMetrics))

export const snapshotName = (index: number): string => `snapshots/${index}.safetensors`

/** `start` is the folder of the weights that were trained. */
export const writeTrained = Effect.fnUntraced(
  function*(
    job: Job,
    { cursor: { metrics, ...cursor }, model, optimiser, snapshots, speed }: Finished,
    start: string
  ): Effect.fn.Return<Output, StoreError> {
    const folder = yield* emptyFolder(job, "trained")
    const config = yield* inScratch(start, () => fs.readFile(path.join(start, "config.json"), "utf8"))
    yield* saveModel(folder, model, { tokenizer: start, config })
    yield* inScratch(folder, async () => {
      const { m, v } = optimiser
      await fs.mkdir(path.join(folder, "snapshots"))
      await fs.writeFile(path.join(folder, "optimiser.safetensors"), encodeSafetensors(named(model, { m, v })))
      await fs.writeFile(path.join(folder, "cursor.json"), json(cursor))
      await fs.writeFile(path.join(folder, "metrics.jsonl"), lines(metrics))
      for (const [index, file] of snapshots.entries()) await fs.copyFile(file, path.join(folder, snapshotName(index)))
    })
    return {
      kind: "Weights",
      meta: {
        parameters: model.parameters.length,
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
    const [m, v] = [flat(model, "m", tensors), flat(model, "v", tensors)]
    if (m === undefined || v === undefined) {
      return yield* new BadFile({ file, problem: "holds no moments of this model's tensors" })
    }
    return { m, v, updates }
  }
)
