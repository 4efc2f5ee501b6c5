// A training run as it stands between two optimiser steps, on disk: weights and moments of what is trained in
// state.safetensors, all else in cursor.json, which carries the digests that tell a whole checkpoint from a torn one. A directory is written under
// another name, synced and renamed, and the one before it is kept, so that a kill at any moment loses steps, never the run.
// Leaves out snapshots: they are files beside, named in the cursor.
import { CheckpointMismatch, StoreError } from "@penchant/dsl/Errors"
import { sha256 } from "@penchant/dsl/Identity"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ModelState, OptimiserState } from "../compute/Engine.ts"
import { trainedOf, withTrained } from "../compute/places.ts"
import { decodeSafetensors, encodeSafetensors, type Tensor } from "../data/safetensors.ts"
import { Fit } from "./fit.ts"
import { StepMetrics } from "./StepMetrics.ts"

const RunningMean = Schema.Struct({ mean: Schema.Finite, count: Schema.Finite })

/** Where a run is. Everything here is a function of the steps done, never of the clock. */
export const Position = Schema.Struct({
  /** Optimiser steps done, those of a run that this one extends included. */
  step: Schema.Int,
  /** Passes over the data begun before this run. */
  epoch: Schema.Int,
  /** Updates that Adam's bias correction has seen. */
  updates: Schema.Int,
  /** Updates whose gradient was clipped. */
  clipped: Schema.Int,
  /** Running means of the objective, by name. */
  state: Schema.Record(Schema.String, RunningMean),
  /** Warnings already given. */
  said: Schema.Array(Schema.String),
  /** Weights kept along the way: the step of each, in the order of its index. */
  snapshots: Schema.Array(Schema.Struct({ step: Schema.Int, sha256: Schema.String })),
  /** The cut after the device ran out of memory: the sums are ordered otherwise than planned, so the result is seeded. */
  fit: Schema.optionalKey(Fit)
})
/** A position and the metrics of every step up to it. */
export const Cursor = Schema.Struct({ ...Position.fields, metrics: Schema.Array(StepMetrics) })
export type Cursor = typeof Cursor.Type

export const start: Cursor = {
  step: 0,
  epoch: 0,
  updates: 0,
  clipped: 0,
  state: {},
  said: [],
  snapshots: [],
  metrics: []
}

/** What a checkpoint belongs to, part by part: resuming under another is refused, naming the parts. */
export type Identity = Readonly<Record<string, string>>

const Stored = Schema.Struct({
  version: Schema.Literal(1),
  identity: Schema.Record(Schema.String, Schema.String),
  cursor: Cursor,
  state: Schema.String
})
/** `digest` is that of the text of `stored`, so that a changed digit is found like a changed weight. */
const Envelope = Schema.Struct({ digest: Schema.String, stored: Schema.Unknown })

export interface Checkpoint {
  readonly cursor: Cursor
  readonly model: ModelState
  readonly optimiser: OptimiserState
}

/** What the operating system refused, as the typed error of the state directory. */
export const storing = <A>(at: string, run: () => Promise<A>): Effect.Effect<A, StoreError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => new StoreError({ path: at, problem: error instanceof Error ? error.message : String(error) })
  })

/** One file, on the disk when this returns. */
export const writeSynced = async (file: string, bytes: Uint8Array | string): Promise<void> => {
  const handle = await fs.open(file, "w")
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await fs.open(directory, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Flat vectors as one tensor per parameter: the order of a model's tensors may change between versions, names do not. */
export const named = (
  model: Pick<ModelState, "names" | "shapes">,
  vectors: Readonly<Record<string, Float32Array | Float64Array>>
): Record<string, Tensor> => {
  const tensors: Record<string, Tensor> = {}
  for (const [prefix, vector] of Object.entries(vectors)) {
    let at = 0
    model.names.forEach((name, i) => {
      const shape = model.shapes[i]!
      const data = vector.subarray(at, at += shape.reduce((a, b) => a * b, 1))
      tensors[`${prefix}/${name}`] = data instanceof Float32Array
        ? { dtype: "F32", shape, data }
        : { dtype: "F64", shape, data }
    })
  }
  return tensors
}

/** The inverse of `named` for one prefix; undefined when a tensor is missing or has another size. */
export const flat = (
  model: Pick<ModelState, "names" | "shapes">,
  prefix: string,
  tensors: Readonly<Record<string, Tensor>>
): Float32Array | Float64Array | undefined => {
  const sizes = model.shapes.map((shape) => shape.reduce((a, b) => a * b, 1))
  const total = sizes.reduce((a, b) => a + b, 0)
  const wide = tensors[`${prefix}/${model.names[0]}`]?.dtype === "F64"
  const vector = wide ? new Float64Array(total) : new Float32Array(total)
  let at = 0
  for (const [i, name] of model.names.entries()) {
    const tensor = tensors[`${prefix}/${name}`]
    if (tensor === undefined || tensor.data.length !== sizes[i] || tensor.dtype !== (wide ? "F64" : "F32")) {
      return undefined
    }
    vector.set(tensor.data as Float64Array, at)
    at += sizes[i]!
  }
  return vector
}

export const snapshotFile = (directory: string, index: number): string =>
  path.join(directory, "snapshots", `${index}.safetensors`)

const folder = (directory: string): string => path.join(directory, "checkpoints")
const nameOf = (step: number): string => `step-${String(step).padStart(9, "0")}`

/** Writes a checkpoint and removes all but the one before it. */
export const write = Effect.fn("Checkpoint.write")(
  (directory: string, identity: Identity, { cursor, model, optimiser }: Checkpoint) => {
    const parent = folder(directory)
    const target = path.join(parent, nameOf(cursor.step))
    const temporary = path.join(parent, `writing-${process.pid}`)
    return storing(parent, async () => {
      await fs.rm(temporary, { recursive: true, force: true })
      await fs.mkdir(temporary, { recursive: true })
      const { m, v } = optimiser
      const trained = trainedOf(model)
      const state = encodeSafetensors(named(trained, { weights: trained.parameters, m, v }))
      const stored: typeof Stored.Type = { version: 1, identity, cursor, state: sha256(state) }
      await writeSynced(path.join(temporary, "state.safetensors"), state)
      await writeSynced(
        path.join(temporary, "cursor.json"),
        JSON.stringify({ digest: sha256(JSON.stringify(stored)), stored })
      )
      await syncDirectory(temporary)
      await fs.rm(target, { recursive: true, force: true })
      await fs.rename(temporary, target)
      await syncDirectory(parent)
      const older = (await fs.readdir(parent)).filter((name) => name.startsWith("step-")).toSorted().slice(0, -2)
      for (const name of older) await fs.rm(path.join(parent, name), { recursive: true, force: true })
    })
  }
)

const differenceOf = (was: Identity, is: Identity): string | undefined => {
  const keys = [...new Set([...Object.keys(is), ...Object.keys(was)])].filter((key) => was[key] !== is[key])
  return keys.length === 0 ? undefined : keys.join(", ")
}

interface Read {
  readonly identity: Identity
  readonly checkpoint: Checkpoint
}

/** Undefined for anything that is not a whole checkpoint of this model, or names a snapshot that is gone. */
const read = async (directory: string, name: string, model: ModelState): Promise<Read | undefined> => {
  const at = path.join(folder(directory), name)
  const file = path.join(at, "state.safetensors")
  const [text, state] = await Promise.all([fs.readFile(path.join(at, "cursor.json"), "utf8"), fs.readFile(file)])
  const envelope = Option.getOrUndefined(Schema.decodeOption(Schema.fromJsonString(Envelope))(text))
  if (envelope === undefined || sha256(JSON.stringify(envelope.stored)) !== envelope.digest) return undefined
  const stored = Option.getOrUndefined(Schema.decodeUnknownOption(Stored)(envelope.stored))
  if (stored === undefined || sha256(state) !== stored.state) return undefined
  for (const [index, snapshot] of stored.cursor.snapshots.entries()) {
    if (sha256(await fs.readFile(snapshotFile(directory, index))) !== snapshot.sha256) return undefined
  }
  const decoded = decodeSafetensors(state, file)
  if (Result.isFailure(decoded)) return undefined
  const { tensors } = decoded.success
  const trained = trainedOf(model)
  const [weights, m, v] = ["weights", "m", "v"].map((prefix) => flat(trained, prefix, tensors))
  if (weights === undefined || m === undefined || v === undefined) return undefined
  const { cursor, identity } = stored
  const optimiser = { m, v, updates: cursor.updates }
  return { identity, checkpoint: { cursor, model: withTrained(model, weights), optimiser } }
}

/**
 * The newest whole checkpoint, and the names of newer ones that are torn or corrupt. Fails when it belongs to something
 * else. What a killed writer left behind is removed.
 */
export const latest = Effect.fn("Checkpoint.latest")(
  function*(directory: string, identity: Identity, model: ModelState) {
    const parent = folder(directory)
    const names = yield* storing(parent, async () => {
      const found = await fs.readdir(parent).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return []
        throw error
      })
      for (const name of found.filter((left) => left.startsWith("writing-"))) {
        await fs.rm(path.join(parent, name), { recursive: true, force: true })
      }
      return found.filter((name) => name.startsWith("step-")).toSorted().toReversed()
    })
    const torn: Array<string> = []
    for (const name of names) {
      // A file that is missing or cannot be read makes the checkpoint as useless as a wrong digest does.
      const found = yield* Effect.promise(() => read(directory, name, model).catch(() => undefined))
      if (found === undefined) {
        torn.push(name)
        continue
      }
      const difference = differenceOf(found.identity, identity)
      if (difference !== undefined) return yield* new CheckpointMismatch({ directory: parent, difference })
      return { checkpoint: found.checkpoint, torn }
    }
    return { checkpoint: undefined, torn }
  }
)
