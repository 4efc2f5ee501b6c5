// Rotary frequencies as configs declare them: `rope_theta` with `rope_scaling` (as most published checkpoints have it), or
// `rope_parameters` (transformers 5). Of types whose angles depend on the sequence's length (dynamic,
// longrope) the angles of short ones are here, so such a model is one of its original length.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ConfigProblem } from "./Family.ts"
import { Positive, refuse, Size } from "./fields.ts"

/** How angles are scaled, of one kind of layer. */
export const Scaling = Schema.Struct({
  rope_type: Schema.optionalKey(Schema.String),
  /** The older name of `rope_type`. */
  type: Schema.optionalKey(Schema.String),
  rope_theta: Schema.optionalKey(Positive),
  partial_rotary_factor: Schema.optionalKey(Positive),
  factor: Schema.optionalKey(Schema.NullOr(Positive)),
  low_freq_factor: Schema.optionalKey(Positive),
  high_freq_factor: Schema.optionalKey(Positive),
  original_max_position_embeddings: Schema.optionalKey(Size),
  attention_factor: Schema.optionalKey(Schema.NullOr(Positive)),
  beta_fast: Schema.optionalKey(Schema.NullOr(Positive)),
  beta_slow: Schema.optionalKey(Schema.NullOr(Positive)),
  mscale: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  mscale_all_dim: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  truncate: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  short_factor: Schema.optionalKey(Schema.Array(Positive))
})
export type Scaling = typeof Scaling.Type

/** The fields of a config that say how positions turn. */
export const ropeFields = {
  rope_theta: Schema.optionalKey(Positive),
  rope_scaling: Schema.optionalKey(Schema.NullOr(Scaling)),
  rope_parameters: Schema.optionalKey(Schema.NullOr(Scaling)),
  partial_rotary_factor: Schema.optionalKey(Positive),
  original_max_position_embeddings: Schema.optionalKey(Size)
}
export interface RopeConfig {
  readonly max_position_embeddings: number
  readonly original_max_position_embeddings?: number
  readonly rope_theta?: number
  readonly partial_rotary_factor?: number
  readonly rope_scaling?: Scaling | null
  readonly rope_parameters?: Scaling | null
}

export interface Rope {
  /** Angle per position of each pair that turns, in radians. */
  readonly frequencies: ReadonlyArray<number>
  /** Factor on cosines and sines. */
  readonly scale: number
  /** For as many positions this holds. */
  readonly maxPositions: number
}

/** What an absent field stands for, and whether the family lets a part of each head turn. */
export interface RopeDefaults {
  readonly theta: number
  readonly share: number
  readonly partial: boolean
  /** Other names that the family has for types. */
  readonly aliases?: Readonly<Record<string, string>>
}

/** Of heads of `headDim` numbers. */
export const ropeOf = (
  config: RopeConfig,
  headDim: number,
  defaults: RopeDefaults = { theta: 10_000, share: 1, partial: false }
): Result.Result<Rope, ConfigProblem> => {
  const [field, scaling] = config.rope_parameters
    ? ["rope_parameters", config.rope_parameters] as const
    : ["rope_scaling", config.rope_scaling ?? {}] as const
  const share = scaling.partial_rotary_factor ?? config.partial_rotary_factor ?? defaults.share
  if (share > 1 || (share !== 1 && !defaults.partial)) {
    return refuse("partial_rotary_factor", `is ${share}; supported is 1`)
  }
  const dims = Math.floor(headDim * share)
  if (!Number.isInteger(headDim) || dims < 2 || dims % 2 !== 0) {
    return refuse("head_dim", `is ${headDim}, of which ${dims} turn; rotary positions need an even whole number`)
  }
  const theta = scaling.rope_theta ?? config.rope_theta ?? defaults.theta
  const named = scaling.rope_type ?? scaling.type ?? "default"
  const type = defaults.aliases?.[named] ?? named
  const rule = Object.hasOwn(rules, type) ? rules[type] : undefined
  if (rule === undefined) {
    return refuse(`${field}.rope_type`, `is "${type}"; supported are ${Object.keys(rules).join(", ")}`)
  }
  const given = { original_max_position_embeddings: config.original_max_position_embeddings, ...scaling }
  const missing = rule.needs.find((need) => given[need] === undefined || given[need] === null)
  if (missing !== undefined) return refuse(`${field}.${missing}`, "is missing")
  const plain = Array.from({ length: dims / 2 }, (_, i) => theta ** (-2 * i / dims))
  if (type === "longrope" && given.short_factor!.length !== plain.length) {
    return refuse(`${field}.short_factor`, `has ${given.short_factor!.length} numbers; ${plain.length} pairs turn`)
  }
  const scaled = given as Required<Scaling>
  const { scale = 1, maxPositions = config.max_position_embeddings, frequency } = rule.of(scaled, {
    theta,
    dims,
    positions: config.max_position_embeddings
  })
  return Result.succeed({ frequencies: plain.map(frequency), scale, maxPositions })
}

interface Turning {
  readonly theta: number
  readonly dims: number
  readonly positions: number
}
interface Rule {
  readonly needs: ReadonlyArray<keyof Scaling>
  readonly of: (scaling: Required<Scaling>, turning: Turning) => Partial<Omit<Rope, "frequencies">> & {
    /** Of pair i, from what it would be unscaled. */
    readonly frequency: (plain: number, i: number) => number
  }
}

const clamp = (x: number): number => Math.min(1, Math.max(0, x))

const rules: Readonly<Record<string, Rule>> = {
  default: { needs: [], of: () => ({ frequency: (plain) => plain }) },
  linear: { needs: ["factor"], of: ({ factor }) => ({ frequency: (plain) => plain / factor! }) },
  // The base grows with sequences longer than the model's positions, of which there are none here.
  dynamic: { needs: ["factor"], of: () => ({ frequency: (plain) => plain }) },
  // Long waves are stretched by `factor`, short ones kept, those between blended. https://arxiv.org/abs/2407.21783
  llama3: {
    needs: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
    of: (s) => ({
      frequency: (plain) => {
        // How many waves fit into the context of pre-training.
        const waves = s.original_max_position_embeddings * plain / (2 * Math.PI)
        const blend = clamp((waves - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor))
        return blend * plain + (1 - blend) * plain / s.factor!
      }
    })
  },
  // The same by pair: a linear ramp between those that turn `beta_fast` and `beta_slow` times. https://arxiv.org/abs/2309.00071
  yarn: {
    needs: ["factor", "original_max_position_embeddings"],
    of: (
      { attention_factor, beta_fast, beta_slow, factor, original_max_position_embeddings, truncate, ...s },
      { dims, theta }
    ) => {
      const pairOf = (turns: number) =>
        dims * Math.log(original_max_position_embeddings / (turns * 2 * Math.PI)) / (2 * Math.log(theta))
      const whole = truncate ?? true
      const [fast, slow] = [pairOf(beta_fast ?? 32), pairOf(beta_slow ?? 1)]
      const low = Math.max(whole ? Math.floor(fast) : fast, 0)
      const high = Math.min(whole ? Math.ceil(slow) : slow, dims - 1)
      const loudness = (m: number) => factor! <= 1 ? 1 : 0.1 * m * Math.log(factor!) + 1
      const usual = s.mscale && s.mscale_all_dim ? loudness(s.mscale) / loudness(s.mscale_all_dim) : loudness(1)
      return {
        scale: attention_factor ?? usual,
        frequency: (plain, i) => {
          const stretch = clamp((i - low) / (high === low ? 0.001 : high - low))
          return plain * (1 - stretch) + plain / factor! * stretch
        }
      }
    }
  },
  // Each pair has a factor of its own. https://arxiv.org/abs/2402.13753
  longrope: {
    needs: ["short_factor", "original_max_position_embeddings"],
    of: ({ attention_factor, factor, original_max_position_embeddings: original, short_factor }, { positions }) => {
      const longer = factor ?? positions / original
      return {
        scale: attention_factor ?? (longer <= 1 ? 1 : Math.sqrt(1 + Math.log(longer) / Math.log(original))),
        maxPositions: Math.min(original, positions),
        frequency: (plain, i) => plain / short_factor[i]!
      }
    }
  }
}
