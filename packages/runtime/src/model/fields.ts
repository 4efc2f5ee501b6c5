// Fields that the configs of several families have, and what a family says of one that it cannot honour.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ConfigProblem } from "./Family.ts"

export const Size = Schema.Int.check(Schema.isGreaterThan(0))
export const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

export const refuse = (field: string, problem: string): Result.Result<never, ConfigProblem> =>
  Result.fail({ field, problem })

/** The first of the fields that is neither absent nor null nor what is supported, as a refusal. */
export const only = (
  json: object,
  supported: Readonly<Record<string, ReadonlyArray<string | number | boolean>>>
): Result.Result<void, ConfigProblem> => {
  for (const [field, values] of Object.entries(supported)) {
    const value = (json as Readonly<Record<string, unknown>>)[field] ?? values[0]
    if (values.some((each) => each === value)) continue
    return refuse(
      field,
      `is ${JSON.stringify(value)}; supported ${values.length === 1 ? "is" : "are"} ${values.join(", ")}`
    )
  }
  return Result.succeed(undefined)
}

/** Dropout probabilities that a config asks for, which training leaves out. */
export const dropouts = (json: object, ...fields: ReadonlyArray<string>): ReadonlyArray<string> =>
  fields.flatMap((field) => {
    const value = (json as Readonly<Record<string, unknown>>)[field]
    return typeof value === "number" && value > 0 ? [`${field} ${value}`] : []
  })

/** Names of gelu in configs, and which of the two it is. */
const gelus: Readonly<Record<string, "none" | "tanh">> = {
  gelu: "none",
  gelu_new: "tanh",
  gelu_fast: "tanh",
  gelu_pytorch_tanh: "tanh"
}

/** The approximation that an activation's name stands for. */
export const geluOf = (field: string, name: string): Result.Result<"none" | "tanh", ConfigProblem> =>
  Object.hasOwn(gelus, name)
    ? Result.succeed(gelus[name]!)
    : refuse(field, `is "${name}"; supported are ${Object.keys(gelus).join(", ")}`)
