// How a model is trained, apart from its objective: every field is identity, every default documented here.
import * as Schema from "effect/Schema"

const positive = Schema.Finite.pipe(Schema.check(Schema.isGreaterThan(0)))
const atLeastZero = Schema.Finite.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))
const fraction = Schema.Finite.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
const count = Schema.Int.pipe(Schema.check(Schema.isGreaterThan(0)))
const index = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))

/** What training computes in: activations, and the weights that they meet. Masters and Adam's moments are always float32. */
export const Precision = Schema.Literals(["float32", "bfloat16"])
export type Precision = typeof Precision.Type

/**
 * How the weights of bfloat16 follow their updates. `nearest`: the nearest to float32 masters, 14 bytes a parameter with
 * gradients and Adam's moments. `stochastic`: no masters, 12 bytes; each update ends at the number above or below, each as likely
 * as it is near, from the stream `train/rounding`: right in the mean, noisier in each weight. https://arxiv.org/abs/2010.06192
 */
export const Rounding = Schema.Literals(["nearest", "stochastic"])
export type Rounding = typeof Rounding.Type

/**
 * Low-rank adapters beside linear layers, which stay as they are: y = W x + alpha / rank B A x, A [rank, in] uniform within
 * 1 / sqrt(in), B [out, rank] zero at the start. https://arxiv.org/abs/2106.09685
 */
export const Lora = Schema.Struct({
  rank: count,
  alpha: positive,
  /** Ends of layers' names, as PEFT takes them: "q_proj", "attn.c_proj"; `all-linear` is every one but the head. */
  targets: Schema.Union([Schema.Literal("all-linear"), Schema.NonEmptyArray(Schema.String)])
})
export type Lora = typeof Lora.Type

/** A recipe with nothing left open. */
export const Recipe = Schema.Struct({
  /** Peak rate, reached after warm-up. Default 1e-6, as TRL's DPO. */
  learningRate: positive,
  /** Passes over the data. Default 1. */
  epochs: count,
  /** Pairs per optimiser step, whatever the micro-batches. Default 16. */
  batchSize: count,
  /** After warm-up: `linear` to 0 (default, transformers' rule), `cosine` to 0, or `constant`. */
  schedule: Schema.Literals(["linear", "cosine", "constant"]),
  /** ceil(warmupRatio * steps) steps of linear warm-up, the first at rate 0. Default 0.1. */
  warmupRatio: fraction,
  /** Adam's decay rates and denominator term. Defaults 0.9, 0.999, 1e-8. */
  beta1: fraction,
  beta2: fraction,
  epsilon: positive,
  /** Decoupled; norms and biases are exempt. Default 0. */
  weightDecay: atLeastZero,
  /** Global norm to clip to, once per optimiser step; 0 switches clipping off. Default 1. */
  maxGradNorm: atLeastZero,
  /** Root of the named streams, of which training uses `order` and `rounding`. Default 0. */
  seed: index,
  /** `shuffled` anew every epoch (default), or the order of the data. */
  order: Schema.Literals(["shuffled", "given"]),
  /** Weights kept along the way, evenly spaced, the last step included. Default 0. */
  snapshots: index,
  /** Default float32; bfloat16 on engines that have it (torch). The float64 engine computes in float64 whatever is asked. */
  precision: Precision,
  /** Of the weights in bfloat16. Default `nearest`, which is left out, so that it is one recipe with and without the word. */
  rounding: Schema.optionalKey(Schema.Literal("stochastic")),
  /** Train adapters alone. The reference stays the start's weights. Default: train the weights themselves. */
  lora: Schema.optionalKey(Lora),
  /** Tensors that stay as they are, by glob over their names in the file: "model.embed_tokens.*". Default none. */
  freeze: Schema.optionalKey(Schema.NonEmptyArray(Schema.String))
}).pipe(Schema.check(Schema.makeFilter(({ precision, rounding }) =>
  rounding === undefined || precision === "bfloat16"
    ? undefined
    : { path: ["rounding"], issue: "is stochastic, which is of weights in bfloat16: set precision to bfloat16" }
)))
export type Recipe = typeof Recipe.Type

/** What a pipeline writes: any part of a recipe. Targets of adapters default to `all-linear`. */
export type RecipeOptions = Partial<Omit<Recipe, "lora" | "rounding">> & {
  readonly rounding?: Rounding
  readonly lora?: Omit<Lora, "targets"> & Partial<Pick<Lora, "targets">>
}

const defaults: Recipe = {
  learningRate: 1e-6,
  epochs: 1,
  batchSize: 16,
  schedule: "linear",
  warmupRatio: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
  seed: 0,
  order: "shuffled",
  snapshots: 0,
  precision: "float32"
}

/** Fills in the defaults. Throws when a value is out of range or a name is none of a recipe's: a mistake in the pipeline file, shown with its field. */
export const recipe = ({ lora, rounding = "nearest", ...options }: RecipeOptions = {}): Recipe =>
  Schema.decodeSync(Recipe)({
    ...defaults,
    ...options,
    ...(rounding === "nearest" ? {} : { rounding }),
    ...(lora === undefined ? {} : { lora: { targets: "all-linear", ...lora } })
  }, { onExcessProperty: "error" })
