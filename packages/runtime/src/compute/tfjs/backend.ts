// The tfjs engine: the project's own graphs, forward and backward, on TensorFlow.js. Its tape and optimisers are not used.
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import { logitsOf } from "../../generation/logits.ts"
import { forwardOf } from "../../model/families.ts"
import type { Backend, BackendModule, BackendSession } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import { planned } from "../footprint.ts"
import type { Gradient } from "../gradient.ts"
import type { Graph, Value } from "../Graph.ts"
import { numericsOf } from "../numerics.ts"
import { recomputing } from "../reference/decoder.ts"
import { choose } from "./choice.ts"
import { load } from "./load.ts"
import type { Tf } from "./Lowering.ts"
import { parametersOf } from "./Parameters.ts"
import { type Run, startRun, tablesOf } from "./Run.ts"

const opened = (tf: Tf): Backend["open"] => async (model, options) => {
  const network = forwardOf(model)
  const { graph, logProb, trained = [], weights } = network
  const { graph: toLogits, logits, vocabulary } = logitsOf(network)
  const graphs = planned(network)
  const parameters = parametersOf(tf, model, { weights, trained }, options.optimiser)
  const tables = tablesOf(tf)
  let saved: { readonly run: Run; readonly backwards: Gradient } | undefined
  const forget = () => {
    saved?.run.close()
    saved = undefined
  }
  /** Runs a graph and reads one value of it; what `keep` names stays in the run. */
  const forward = (graph: Graph, batch: Batch, wanted: Value, keep: ReadonlyArray<Value> = []) => {
    forget()
    const run = startRun(tf, graph, batch, parameters.weights(), tables)
    try {
      run.through(graph, [wanted, ...keep])
      return { run, values: run.read(wanted) }
    } catch (error) {
      run.close()
      throw error
    }
  }
  const once = (graph: Graph, batch: Batch, wanted: Value): Float64Array => {
    const { run, values } = forward(graph, batch, wanted)
    run.close()
    return values
  }
  const session: BackendSession = {
    score: async (batch) => once(graph, batch, logProb),
    generate: async (prompts, options) => {
      const decoder = recomputing(vocabulary, (batch) => once(toLogits, batch, logits))
      return generate(decoder, prompts, options, await decodeOf(options))
    },
    forward: async (batch, { recompute = false } = {}) => {
      const backwards = recompute ? graphs.sparing : graphs.plain
      const { run, values } = forward(graph, batch, logProb, backwards.saved)
      saved = { run, backwards }
      return values
    },
    backward: async (coefficients) => {
      if (saved === undefined) throw new Error("backward without a forward before it")
      const { backwards: { graph }, run } = saved
      const weightOf = new Map(graph.outputs.map((gradient, i) => [gradient, trained[i]!]))
      try {
        for (const input of graph.inputs) {
          if (input.source.kind === "cotangent") run.setCotangent(input, coefficients)
        }
        run.through(graph, [], (value, tensor) => {
          const weight = weightOf.get(value)
          if (weight !== undefined) parameters.addGradient(weight, tensor)
        })
      } finally {
        forget()
      }
    },
    update: async (update) => parameters.update(update),
    weights: async () => ({ ...model, parameters: parameters.read() }),
    optimiser: async () => parameters.optimiser(),
    gradients: async () => parameters.gradients(),
    zeroGradients: async () => {
      forget()
      parameters.zeroGradients()
    },
    close: async () => {
      forget()
      tables.close()
      parameters.close()
    }
  }
  return session
}

export const start: BackendModule["start"] = async ({ backend }) => {
  const choice = choose(backend)
  if ("problem" in choice) throw new Error(`${choice.problem}: ${choice.remedy}`)
  return { numerics: numericsOf("tfjs", { backend }), open: opened(await load(choice)), close: async () => {} }
}
