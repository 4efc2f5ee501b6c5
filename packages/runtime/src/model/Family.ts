// What a model family states: how its config.json reads, which tensors it has, and its forward graph.
// Leaves out engines and files: a family is pure, and every engine runs the same graph.
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Graph, Input, Value } from "../compute/Graph.ts"

/** A config that cannot be used, by its field. */
export interface ConfigProblem {
  readonly field: string
  readonly problem: string
}

export interface TensorSpec {
  /** As in the Hugging Face file. */
  readonly name: string
  readonly shape: ReadonlyArray<number>
}

export interface Forward {
  readonly graph: Graph
  /** [N], the graph's output. */
  readonly logProb: Value
  /** In the order of `tensors`, then those of adapters. */
  readonly weights: ReadonlyArray<Input>
  /** Of the weights those that have gradients; all when absent. */
  readonly trained?: ReadonlyArray<Input>
  /** Layers that can have adapters: all linear ones but the head. */
  readonly layers: ReadonlyArray<Layer>
}

export interface Layer {
  /** As in the file, without `.weight`. */
  readonly name: string
  readonly stored: Stored
}
/** How a linear layer's weight lies in the file. */
export type Stored = "[out, in]" | "[in, out]"

/** A model that a config describes, ready for an engine. */
export interface Architecture {
  /** Its name in config.json, "LlamaForCausalLM". */
  readonly name: string
  /** In the order in which `ModelState` holds them. */
  readonly tensors: ReadonlyArray<TensorSpec>
  readonly vocabulary: number
  readonly maxPositions: number
  /** Beyond the last a learned one is not there; a rotary one is an angle that no training has seen. */
  readonly positions: "learned" | "rotary"
  /** What names of tensors begin with that some published files leave out: those of the decoder without its head. */
  readonly prefix: string
  /** Tensors that published files may carry without use. */
  readonly unused: (tensor: string) => boolean
  /** Fields of the config that training does not honour, for a message. */
  readonly ignored: ReadonlyArray<string>
  readonly forward: (adapter?: Lora) => Forward
}

export interface Family {
  readonly architecture: (config: unknown) => Result.Result<Architecture, ConfigProblem>
}

/** Assembles a family; `C` is the config as the family's own code wants it. */
export const family = <J, C>(name: string, parts: {
  readonly schema: Schema.ConstraintDecoder<J>
  /** Defaults and refusals that a schema does not say. */
  readonly read: (json: J) => Result.Result<C, ConfigProblem>
  readonly tensors: (config: C) => ReadonlyArray<TensorSpec>
  readonly forward: (config: C, adapter?: Lora) => Forward
  readonly about: (config: C) => Omit<Architecture, "name" | "tensors" | "forward">
}): Family => {
  const decode = Schema.decodeUnknownResult(parts.schema)
  return {
    architecture: (config) =>
      Result.gen(function*() {
        const json = yield* Result.mapError(decode(config), (error) => firstProblem(error.issue))
        const read = yield* parts.read(json)
        return {
          ...parts.about(read),
          name,
          tensors: parts.tensors(read),
          forward: (adapter) => parts.forward(read, adapter)
        }
      })
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

export const firstProblem = (issue: SchemaIssue.Issue): ConfigProblem => {
  const first = format(issue).issues[0]
  const path = (first?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part))
  const message = first?.message ?? "not valid"
  const problem = message === "Missing key" ? "is missing" : `is wrong: ${message[0]!.toLowerCase()}${message.slice(1)}`
  return { field: path.join("."), problem }
}
