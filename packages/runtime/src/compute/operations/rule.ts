// What the rules of an operation's file are written against: checks for shape rules, the tape for gradient rules.
import type { Builder, Dimension, NodeOf, OperationName, Operations, Value } from "../Graph.ts"

export type Shape = ReadonlyArray<Dimension>

export const float = (...shape: Shape) => ({ dtype: "float", shape }) as const
export const opaque = { dtype: "opaque", shape: [] } as const

export const equal = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i])

/** Throws when the inputs of an operation do not fit: a mistake in a model's graph, so a defect. */
export function check(holds: boolean, operation: OperationName, inputs: object): asserts holds {
  if (holds) return
  const shapes = Object.entries(inputs).flatMap(([name, value]: [string, Value | undefined]) =>
    value === undefined ? [] : `${name} ${value.dtype} [${value.shape}]`
  )
  throw new Error(`${operation}: inputs do not fit: ${shapes.join(", ")}`)
}

/** What a gradient rule sees of the backward pass when it comes to its node. */
export interface Tape<N extends OperationName> {
  readonly node: NodeOf<N>
  /** Gradients of the node's outputs; a saved activation has none. */
  readonly cotangents: { readonly [O in keyof Operations[N]["outputs"]]?: Value }
  readonly build: Builder
  /** Whether anything asked for lies upstream of the value; the rule does no work for others. */
  readonly wanted: (value: Value) => boolean
  /** Adds to the gradient of `value`; `make` folds the sum so far into its operation. Does nothing when not wanted. */
  readonly fold: (value: Value, make: (accumulator: Value | undefined) => Value) => void
  /** Adds to the gradient of `value` what was computed without the sum so far. */
  readonly sum: (value: Value, addend: Value) => void
}

/** `"none"`: the operation occurs in gradients only and is never differentiated. */
export type GradientRule<N extends OperationName> = ((tape: Tape<N>) => void) | "none"
