// Rotary frequencies as configs declare them: `rope_theta` with `rope_scaling` (as most published checkpoints have it), or
// `rope_parameters` (transformers 5). Leaves out types whose angles depend on the sequence length (dynamic, longrope) and yarn.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ConfigProblem } from "./Family.ts"

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

const Scaling = Schema.Struct({
  rope_type: Schema.optionalKey(Schema.String),
  /** The older name of `rope_type`. */
  type: Schema.optionalKey(Schema.String),
  rope_theta: Schema.optionalKey(Positive),
  factor: Schema.optionalKey(Positive),
  low_freq_factor: Schema.optionalKey(Positive),
  high_freq_factor: Schema.optionalKey(Positive),
  original_max_position_embeddings: Schema.optionalKey(Positive)
})
type Scaling = typeof Scaling.Type

/** The fields of a config that say how positions turn. */
export const ropeFields = {
  rope_theta: Schema.optionalKey(Positive),
  rope_scaling: Schema.optionalKey(Schema.NullOr(Scaling)),
  rope_parameters: Schema.optionalKey(Schema.NullOr(Scaling))
}
export interface RopeFields {
  readonly rope_theta?: number
  readonly rope_scaling?: Scaling | null
  readonly rope_parameters?: Scaling | null
}

/** Angle per position of each of the `dims / 2` pairs, in radians. */
export const ropeFrequencies = (
  config: RopeFields,
  dims: number
): Result.Result<ReadonlyArray<number>, ConfigProblem> => {
  const [field, scaling] = config.rope_parameters
    ? ["rope_parameters", config.rope_parameters] as const
    : ["rope_scaling", config.rope_scaling ?? {}] as const
  const theta = scaling.rope_theta ?? config.rope_theta ?? 10_000
  const plain = Array.from({ length: dims / 2 }, (_, i) => theta ** (-2 * i / dims))
  const type = scaling.rope_type ?? scaling.type ?? "default"
  const rule = rules[type]
  if (rule === undefined) {
    const known = Object.keys(rules).join(", ")
    return Result.fail({ field: `${field}.rope_type`, problem: `is "${type}"; supported are ${known}` })
  }
  const missing = rule.needs.find((need) => scaling[need] === undefined)
  if (missing !== undefined) return Result.fail({ field: `${field}.${missing}`, problem: "is missing" })
  return Result.succeed(plain.map((frequency) => rule.scale(frequency, scaling as Required<Scaling>)))
}

interface Rule {
  readonly needs: ReadonlyArray<keyof Scaling>
  readonly scale: (frequency: number, scaling: Required<Scaling>) => number
}

const rules: Readonly<Record<string, Rule>> = {
  default: { needs: [], scale: (frequency) => frequency },
  linear: { needs: ["factor"], scale: (frequency, { factor }) => frequency / factor },
  // Long waves are stretched by `factor`, short ones kept, those between blended. https://arxiv.org/abs/2407.21783
  llama3: {
    needs: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
    scale: (frequency, s) => {
      // How many waves fit into the context of pre-training.
      const waves = s.original_max_position_embeddings * frequency / (2 * Math.PI)
      const keep = (waves - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor)
      const blend = Math.min(1, Math.max(0, keep))
      return blend * frequency + (1 - blend) * frequency / s.factor
    }
  }
}
