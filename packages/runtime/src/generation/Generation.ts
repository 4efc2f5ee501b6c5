// What is asked of generation and what comes back: plain data that crosses to an engine's worker.

/** How a token is chosen; identity. Temperature 0 is greedy, and then only the penalty changes anything. */
export interface Sampling {
  readonly temperature: number
  /** Only the k likeliest tokens, and those that tie with the last. */
  readonly topK?: number
  /** Only the smallest set of likeliest tokens that holds at least this probability. */
  readonly topP?: number
  /** Only tokens at least this share as likely as the likeliest. */
  readonly minP?: number
  /** Logits of tokens that occurred before, the prompt's included, are divided by it if positive, else multiplied. */
  readonly repetitionPenalty?: number
}

export const greedy: Sampling = { temperature: 0 }

export interface Prompt {
  /** Names the random streams of its samples, so that they are the same alone and in any batch. */
  readonly id: string
  /** With BOS where the model wants it. */
  readonly tokens: Int32Array
}

export interface GenerateOptions {
  readonly sampling: Sampling
  /** Samples per prompt; the prompt is computed once. */
  readonly samples: number
  /** New tokens at most. */
  readonly maxTokens: number
  /** Ids that end a sample. */
  readonly eos: ReadonlyArray<number>
  /** Text that ends a sample, also across token boundaries. Needs `tokenizer`. */
  readonly stop: ReadonlyArray<string>
  /** The folder of the model's tokenizer. */
  readonly tokenizer?: string
  readonly seed: number
  /** Also the log-probability of each token, before sampling changed it. */
  readonly logProbs?: boolean
}

export interface Sample {
  /** New tokens: the one that ended it is the last, EOS included. */
  readonly tokens: Int32Array
  readonly finish: "length" | "stop" | "eos"
  /** Nats, one for each token, when asked for. */
  readonly logProbs?: Float64Array
}
