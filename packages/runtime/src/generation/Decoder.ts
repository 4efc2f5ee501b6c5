// What generation asks of an engine: prompts in, then one token per branch and step, logits out. All inside the worker, so
// that logits never cross it. Leaves out which token is chosen (sampling.ts) and when to stop (generate.ts).

export type Logits = Float32Array | Float64Array

/** Sequences that grow together: groups of a prompt and `branches` samples of it. Arrays returned are valid until the next call. */
export interface Decoder {
  readonly vocabulary: number
  /** Starts anew with these prompts, none empty; at most `room` steps follow. [prompts, vocabulary] logits after each prompt. */
  readonly prefill: (prompts: ReadonlyArray<Int32Array>, branches: number, room: number) => Promise<Logits>
  /** One token for each branch of each group; [groups * branches, vocabulary] logits after it. */
  readonly step: (tokens: Int32Array) => Promise<Logits>
  /** Goes on with these groups only, given by their present places, ascending. */
  readonly keep: (groups: ReadonlyArray<number>) => void
}
