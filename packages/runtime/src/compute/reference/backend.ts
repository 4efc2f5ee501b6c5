// The reference engine: float64 in plain TypeScript, exact and slow, the oracle of the others. Takes any number of groups.
// Leaves out fused losses: it always goes through the host.
import * as Result from "effect/Result"
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import { logitsOf } from "../../generation/logits.ts"
import { architecture } from "../../model/families.ts"
import type { Backend, BackendModule, BackendSession } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import type { ModelState, Numerics } from "../Engine.ts"
import { type Gradient, gradient } from "../gradient.ts"
import type { Input } from "../Graph.ts"
import { adamW, clipFactor, decays, normOf } from "../optimiser.ts"
import { recomputed } from "../recompute.ts"
import { recomputing } from "./decoder.ts"
import { type Environment, run, tableOf } from "./run.ts"
import { floats, ints, type Sizes } from "./Tensor.ts"

const numerics: Numerics = {
  engine: "reference",
  version: "1",
  compute: "float64",
  loss: "host",
  determinism: "bitwise",
  groups: []
}

const sizesOf = (batch: Batch): Sizes => ({
  T: batch.tokens.length,
  M: batch.rows.length,
  N: batch.targets.length,
  G: batch.groups,
  S: batch.segments.length,
  P: batch.positions.reduce((a, b) => Math.max(a, b), 0) + 1
})

const open: Backend["open"] = async (model, options) => {
  const described = architecture(model.config)
  if (Result.isFailure(described)) throw new Error(`config: "${described.failure.field}" ${described.failure.problem}`)
  const forward = described.success.forward()
  const { graph, logProb, weights } = forward
  const { graph: toLogits, logits, vocabulary } = logitsOf(forward)
  const plain = gradient(graph, logProb, weights)
  const sparing = recomputed(graph, plain)
  const parameters = Float64Array.from(model.parameters)
  const gradients = new Float64Array(parameters.length)
  const m = Float64Array.from(options.optimiser?.m ?? gradients)
  const v = Float64Array.from(options.optimiser?.v ?? gradients)
  let updates = options.optimiser?.updates ?? 0
  const places = placesOf(model)
  const place = (weight: Input) => {
    const found = places.get(weight.name)
    if (found === undefined) throw new Error(`the model has no tensor "${weight.name}"`)
    return found
  }
  const views = weights.map((weight) => {
    const { from, shape, to } = place(weight)
    return [weight, floats(shape, parameters.subarray(from, to))] as const
  })
  let saved: { readonly environment: Environment; readonly sizes: Sizes; readonly backwards: Gradient } | undefined

  const feed = (batch: Batch, sizes: Sizes): Environment => {
    const environment: Environment = new Map(views)
    for (const input of graph.inputs) {
      if (input.source.kind === "batch") environment.set(input, ints(batch[input.source.field]))
      if (input.source.kind === "table") {
        environment.set(input, floats([sizes.P, input.source.frequencies.length], tableOf(input.source, sizes.P)))
      }
    }
    return environment
  }
  const session: BackendSession = {
    score: async (batch) => {
      const sizes = sizesOf(batch)
      const environment = feed(batch, sizes)
      run(graph, environment, graph.outputs, sizes)
      return environment.get(logProb)!.data
    },
    generate: async (prompts, options) => {
      const decoder = recomputing(vocabulary, (batch) => {
        const sizes = sizesOf(batch)
        const environment = feed(batch, sizes)
        run(toLogits, environment, [logits], sizes)
        return environment.get(logits)!.data
      })
      return generate(decoder, prompts, options, options.stop.length === 0 ? undefined : await decodeOf(options))
    },
    forward: async (batch, { recompute = false } = {}) => {
      const backwards = recompute ? sparing : plain
      const sizes = sizesOf(batch)
      const environment = feed(batch, sizes)
      run(graph, environment, [logProb, ...backwards.saved], sizes)
      saved = { environment, sizes, backwards }
      return environment.get(logProb)!.data.slice()
    },
    backward: async (coefficients) => {
      if (saved === undefined) throw new Error("backward without a forward before it")
      const { backwards, environment, sizes } = saved
      saved = undefined
      for (const input of backwards.graph.inputs) {
        if (input.source.kind === "cotangent") environment.set(input, floats([sizes.N], coefficients))
      }
      run(backwards.graph, environment, backwards.graph.outputs, sizes)
      weights.forEach((weight, i) => {
        const { data } = environment.get(backwards.graph.outputs[i]!)!
        const { from } = place(weight)
        for (let j = 0; j < data.length; j++) gradients[from + j] = gradients[from + j]! + data[j]!
      })
    },
    update: async (update) => {
      const gradNorm = normOf(gradients)
      const factor = clipFactor(gradNorm, update)
      updates += 1
      for (const { from, shape, to } of places.values()) {
        const settings = decays(shape) ? update : { ...update, weightDecay: 0 }
        adamW(parameters, gradients, { m, v }, settings, { factor, from, to, updates })
      }
      gradients.fill(0)
      return { gradNorm, clipped: factor < 1 }
    },
    weights: async () => ({ ...model, parameters: parameters.slice() }),
    optimiser: async () => ({ m: m.slice(), v: v.slice(), updates }),
    gradients: async () => gradients.slice(),
    zeroGradients: async () => {
      saved = undefined
      gradients.fill(0)
    },
    close: async () => {
      saved = undefined
    }
  }
  return session
}

/** Where each tensor lies in the flat vector. */
const placesOf = ({ names, shapes }: ModelState) => {
  let at = 0
  return new Map(names.map((name, i) => {
    const from = at
    const shape = shapes[i]!
    at += shape.reduce((a, b) => a * b, 1)
    return [name, { from, to: at, shape }]
  }))
}

export const start: BackendModule["start"] = async () => ({ numerics, open, close: async () => {} })
