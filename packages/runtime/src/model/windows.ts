// How far back each layer's attention looks: `sliding_window` and the ways in which configs say for which layers it is.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ConfigProblem } from "./Family.ts"
import { refuse } from "./fields.ts"

export const windowFields = {
  /** Positions that a query sees, its own included. */
  sliding_window: Schema.optionalKey(Schema.NullOr(Schema.Int.check(Schema.isGreaterThan(1)))),
  /** "sliding_attention" or "full_attention" for each layer. */
  layer_types: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String)))
}
interface WindowFields {
  readonly num_hidden_layers: number
  readonly sliding_window?: number | null
  readonly layer_types?: ReadonlyArray<string> | null
}

/** Undefined for a layer that looks back all the way. `slides` is the family's own rule, where no list says it. */
export const windowsOf = (
  { layer_types: types, num_hidden_layers: layers, sliding_window: window }: WindowFields,
  slides: (layer: number) => boolean
): Result.Result<ReadonlyArray<number | undefined>, ConfigProblem> => {
  if (types && types.length !== layers) {
    return refuse("layer_types", `names ${types.length} layers of ${layers}`)
  }
  const odd = types?.find((type) => type !== "sliding_attention" && type !== "full_attention")
  if (odd !== undefined) {
    return refuse("layer_types", `names "${odd}"; supported are sliding_attention and full_attention`)
  }
  if (types?.includes("sliding_attention") && !window) {
    return refuse("sliding_window", "is missing, and layer_types names layers that slide")
  }
  return Result.succeed(Array.from({ length: layers }, (_, layer) => {
    const sliding = types ? types[layer] === "sliding_attention" : slides(layer)
    return sliding ? window ?? undefined : undefined
  }))
}

/** The rule of families whose layers are all alike. */
export const everyLayer = ({ layer_types, ...json }: WindowFields) =>
  layer_types ? refuse("layer_types", "is not null; this family's layers are alike") : windowsOf(json, () => true)

export const qwenWindowFields = {
  ...windowFields,
  use_sliding_window: Schema.optionalKey(Schema.Boolean),
  /** The first layer that slides. */
  max_window_layers: Schema.optionalKey(Schema.Int)
}

/** Qwen's configs carry a window that counts only if `use_sliding_window` says so. */
export const qwenWindowsOf = (
  json: WindowFields & { readonly use_sliding_window?: boolean; readonly max_window_layers?: number }
) => {
  const { max_window_layers: first = 28, sliding_window = 4096, use_sliding_window: slides = false } = json
  return windowsOf({ ...json, sliding_window: slides ? sliding_window : null }, (layer) => layer >= first)
}
