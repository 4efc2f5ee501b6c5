// Everything that can go wrong in a step, as typed errors that say what, where, and what to do.
// Leaves out defects: a bug in penchant is thrown, never wrapped in one of these.
import * as Schema from "effect/Schema"

/** A row of a data file cannot be used: malformed JSON, a missing field, a field of the wrong type. */
export class BadRow extends Schema.TaggedError<BadRow>()("BadRow", {
  file: Schema.String,
  /** 0-based row, or the row's id. */
  row: Schema.String,
  field: Schema.optionalKey(Schema.String),
  problem: Schema.String
}) {
  override get message(): string {
    const field = this.field === undefined ? "" : `, field "${this.field}"`
    return `${this.file}, row ${this.row}${field}: ${this.problem}`
  }
}

/** A file is missing, unreadable, truncated or not what its name says. */
export class BadFile extends Schema.TaggedError<BadFile>()("BadFile", {
  file: Schema.String,
  problem: Schema.String,
  remedy: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.file}: ${this.problem}${this.remedy === undefined ? "" : ` (${this.remedy})`}`
  }
}

/** A model folder cannot be loaded: `part` is the config field or tensor at fault. */
export class BadModel extends Schema.TaggedError<BadModel>()("BadModel", {
  file: Schema.String,
  part: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.file}: "${this.part}" ${this.problem}`
  }
}

/** A row that cannot be tokenised as asked: too long under `fail`, an id beyond the vocabulary, a prompt that is no prefix. */
export class BadTokens extends Schema.TaggedError<BadTokens>()("BadTokens", {
  row: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `row ${this.row}: ${this.problem}`
  }
}

/** Why the Hub did not give what was asked for: each asks for something else of the person. */
export const HubReason = Schema.Literals([
  /** No such repository, as far as this token may see. */
  "missing",
  /** Without a token the Hub does not tell a private repository from a missing one. */
  "private",
  "gated",
  "revision",
  "file",
  "disabled",
  /** What was to be made is there already. */
  "exists",
  "token",
  "offline",
  "network",
  "rateLimit",
  /** Bytes that are not those of the hash, more than once. */
  "integrity",
  "disk",
  /** An answer that is not the Hub's. */
  "protocol",
  /** No file of the repository is what was asked for. */
  "selection",
  "notLocked",
  /** What was locked is not there any more. */
  "drifted"
])

/** The Hugging Face Hub, or its cache on this disk, did not give what was asked for. */
export class HubError extends Schema.TaggedError<HubError>()("HubError", {
  repo: Schema.String,
  reason: HubReason,
  problem: Schema.String,
  remedy: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.repo}: ${this.problem}${this.remedy === undefined ? "" : ` (${this.remedy})`}`
  }
}

/** The loss or a gradient stopped being a number. The last good checkpoint is kept. */
export class NonFiniteLoss extends Schema.TaggedError<NonFiniteLoss>()("NonFiniteLoss", {
  objective: Schema.String,
  /** 1-based optimiser step. */
  step: Schema.Int,
  /** Ids of the pairs whose term is not finite. */
  pairs: Schema.Array(Schema.String),
  /** The part of the formula, or "gradient norm". */
  term: Schema.String
}) {
  override get message(): string {
    const pairs = this.pairs.length === 0
      ? ""
      : ` for row${this.pairs.length === 1 ? "" : "s"} ${this.pairs.join(", ")}`
    return `${this.objective}: ${this.term} is not finite at step ${this.step}${pairs}; lower the learning rate or look at these rows (the last checkpoint is kept)`
  }
}

/** Before the first step the policy must equal the reference it starts from, within the noise of the precision. */
export class ReferenceMismatch extends Schema.TaggedError<ReferenceMismatch>()("ReferenceMismatch", {
  row: Schema.String,
  /** Largest |log-ratio| of one token on the first batch, and what the precision allows, in nats. */
  difference: Schema.Finite,
  allowed: Schema.Finite
}) {
  override get message(): string {
    return `row ${this.row}: policy and reference differ by ${
      this.difference.toExponential(2)
    } nats per token before the first step (allowed ${this.allowed}); they were scored on other tokens, weights or numerics`
  }
}

/** A checkpoint belongs to another objective, reference, tokenizer or data. */
export class CheckpointMismatch extends Schema.TaggedError<CheckpointMismatch>()("CheckpointMismatch", {
  directory: Schema.String,
  difference: Schema.String
}) {
  override get message(): string {
    return `${this.directory}: the checkpoint was made with another ${this.difference}; remove the directory to start over`
  }
}

/** The worker of an engine died or stopped answering; checkpoints written before are intact, so running again continues. */
export class EngineLost extends Schema.TaggedError<EngineLost>()("EngineLost", {
  engine: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `engine ${this.engine}: ${this.problem}; run again to continue from the last checkpoint`
  }
}

/** The engine answered with an error: a graph it cannot run, a shape it did not expect, memory it could not get. */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  engine: Schema.String,
  operation: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `engine ${this.engine}, ${this.operation}: ${this.problem}`
  }
}

const size = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`

/** What the device was asked for, and had; parts that nobody knows are left out. */
const Room = {
  askedBytes: Schema.optionalKey(Schema.Finite),
  freeBytes: Schema.optionalKey(Schema.Finite),
  totalBytes: Schema.optionalKey(Schema.Finite)
}

const inWords = (
  { askedBytes, freeBytes, totalBytes }: {
    readonly askedBytes?: number
    readonly freeBytes?: number
    readonly totalBytes?: number
  }
): string =>
  [
    askedBytes === undefined ? [] : [`${size(askedBytes)} asked`],
    freeBytes === undefined ? [] : [`${size(freeBytes)} free`],
    totalBytes === undefined ? [] : [`${size(totalBytes)} in all`]
  ].flat().join(", ")

/** The device has no room for an operation. The session goes on; the gradients of the optimiser step are to be started anew. */
export class OutOfMemory extends Schema.TaggedError<OutOfMemory>()("OutOfMemory", {
  engine: Schema.String,
  operation: Schema.String,
  problem: Schema.String,
  ...Room
}) {
  override get message(): string {
    const room = inWords(this)
    return `engine ${this.engine}, ${this.operation}: out of memory: ${this.problem}${room === "" ? "" : ` (${room})`}`
  }
}

/** One row alone does not fit on the device, with its activations recomputed where the engine can. */
export class RowTooLarge extends Schema.TaggedError<RowTooLarge>()("RowTooLarge", {
  row: Schema.String,
  /** Rows that the engine is fed: the prompt once, each answer without its last token. */
  tokens: Schema.Int,
  ...Room
}) {
  override get message(): string {
    const room = inWords(this)
    return `row ${this.row}: its ${this.tokens} tokens do not fit in the device's memory${
      room === "" ? "" : ` (${room})`
    }; tokenise with a smaller maxLength, take a smaller model, or free the device (the last checkpoint is kept)`
  }
}

/** The state directory cannot be read or written, or holds something that is not what its name says. */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.problem}`
  }
}

/** A step of the user's own failed, or its module does not export it. */
export class CustomStepError extends Schema.TaggedError<CustomStepError>()("CustomStepError", {
  module: Schema.String,
  step: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.module}, step "${this.step}": ${this.problem}`
  }
}

export class StepTimeout extends Schema.TaggedError<StepTimeout>()("StepTimeout", {
  label: Schema.String,
  seconds: Schema.Finite
}) {
  override get message(): string {
    return `${this.label}: no result within ${this.seconds} s`
  }
}

/** A judge did not answer in a way that can be used, however often it was asked. */
export class JudgeError extends Schema.TaggedError<JudgeError>()("JudgeError", {
  judge: Schema.String,
  problem: Schema.String,
  remedy: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `judge ${this.judge}: ${this.problem}${this.remedy === undefined ? "" : ` (${this.remedy})`}`
  }
}

/** A judge's budget does not hold another question. */
export class BudgetSpent extends Schema.TaggedError<BudgetSpent>()("BudgetSpent", {
  judge: Schema.String,
  /** "tokens", or "cost". */
  of: Schema.String,
  spent: Schema.Finite,
  budget: Schema.Finite,
  /** Verdicts that are kept, of those asked for. */
  verdicts: Schema.Int,
  questions: Schema.Int
}) {
  override get message(): string {
    const spent = `${this.spent} of ${this.budget} ${this.of} are spent, and the next question could go beyond`
    const kept = `${this.verdicts} of ${this.questions} verdicts are kept`
    return `judge ${this.judge}: ${spent}; ${kept}: raise the budget and run again to go on from them`
  }
}

/** What reading and preparing data can fail with. */
export type DataError = BadRow | BadFile
/** What loading a model can fail with. */
export type ModelError = BadModel | BadFile
/** What anything that computes on an engine can fail with. */
export type ComputeError = EngineLost | EngineError | OutOfMemory
