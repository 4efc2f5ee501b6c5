// One model as one thread runs it: forward and backward over weights and into gradients that are lent. Several replicas share
// the work of a batch on a CPU (lanes.ts), reading the same weights where they are. Leaves out the optimiser.
import type { Precision } from "@penchant/dsl/Recipe"
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import type { GenerateOptions, Prompt, Sample } from "../../generation/Generation.ts"
import { forwardOf } from "../../model/families.ts"
import { DeviceLost, NoRoom } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import type { ModelState } from "../Engine.ts"
import { planned } from "../footprint.ts"
import type { Gradient } from "../gradient.ts"
import type { Value } from "../Graph.ts"
import { decoderOf } from "./decoder.ts"
import type { Tensor } from "./Lowering.ts"
import { type Handle, isLost, isOutOfMemory } from "./native.ts"
import { narrowed } from "./precision.ts"
import { type Run, startRun, tablesOf } from "./Run.ts"
import type { Torch } from "./Torch.ts"

/** What a replica is made of; plain data, so that it can go to another thread. A handle is good in every thread. */
export interface Network {
  readonly model: Omit<ModelState, "parameters">
  readonly precision: Precision
  /** By name. The gradients, of what is trained, are added to. */
  readonly weights: ReadonlyMap<string, Tensor>
  readonly gradients: ReadonlyMap<string, Handle>
}

export interface Replica {
  /** Token log-probabilities [N], nothing kept. */
  readonly score: (batch: Batch) => Float64Array
  /** The same, keeping what `backward` needs. */
  readonly forward: (batch: Batch, recompute: boolean) => Float64Array
  readonly backward: (coefficients: Float64Array) => void
  readonly generate: (prompts: ReadonlyArray<Prompt>, options: GenerateOptions) => Promise<ReadonlyArray<Sample>>
  /** Drops what `forward` kept. */
  readonly forget: () => void
  readonly close: () => void
}

/** Runs a call into libtorch; what says that there was no room becomes `NoRoom`, that the device is gone, `DeviceLost`. */
export const guarded = <A>(body: () => A): A => {
  try {
    return body()
  } catch (error) {
    if (isOutOfMemory(error)) throw new NoRoom(error.message)
    if (isLost(error)) throw new DeviceLost(error.message)
    throw error
  }
}

const found = <A>(of: ReadonlyMap<string, A>, name: string): A => {
  const value = of.get(name)
  if (value === undefined) throw new Error(`the model has no tensor "${name}"`)
  return value
}

export const replicaOf = (torch: Torch, { gradients, model, precision, weights }: Network): Replica => {
  const network = forwardOf(model)
  const { graph, logProb, trained = network.weights } = network
  const graphs = planned(network)
  const narrow = precision === "bfloat16" ? narrowed(torch) : torch
  const lent = new Map<Value, Tensor>(network.weights.map((weight) => [weight, found(weights, weight.name)]))
  const tables = tablesOf(torch)
  const into = new Map<Value, Handle>()
  trained.forEach(({ name }, i) => into.set(graphs.plain.graph.outputs[i]!, found(gradients, name)))
  let saved: { readonly run: Run; readonly backwards: Gradient } | undefined
  const forget = () => {
    saved?.run.close()
    saved = undefined
  }
  const through = (batch: Batch, keep: ReadonlyArray<Value>) => {
    forget()
    return guarded(() => {
      const run = startRun(torch, narrow, graph, batch, lent, tables)
      try {
        run.through(graph, [logProb, ...keep])
        const values = torch.download(run.get(logProb).handles[0]!, batch.targets.length)
        return { run, values: Float64Array.from(values) }
      } catch (error) {
        run.close()
        throw error
      }
    })
  }
  return {
    score: (batch) => {
      const { run, values } = through(batch, [])
      run.close()
      return values
    },
    forward: (batch, recompute) => {
      const backwards = recompute ? graphs.sparing : graphs.plain
      const { run, values } = through(batch, backwards.saved)
      saved = { run, backwards }
      return values
    },
    backward: (coefficients) => {
      if (saved === undefined) throw new Error("backward without a forward before it")
      const { backwards, run } = saved
      try {
        guarded(() => {
          for (const input of backwards.graph.inputs) {
            if (input.source.kind === "cotangent") run.setCotangent(input, coefficients)
          }
          run.through(backwards.graph, [], into)
        })
      } finally {
        forget()
      }
    },
    generate: async (prompts, options) => {
      forget()
      const decoder = decoderOf(torch, narrow, network, lent, tables)
      try {
        return await generate(decoder, prompts, options, await decodeOf(options))
      } catch (error) {
        return guarded(() => {
          throw error
        })
      } finally {
        decoder.close()
      }
    },
    forget,
    close: () => {
      forget()
      tables.close()
    }
  }
}
