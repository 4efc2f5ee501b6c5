// A preference pair: one prompt, the answer people preferred and the one they did not; or, unpaired, one answer and
// whether it was liked. Text or chat messages. Leaves out tokens: `Tokenise` says where prompt and answer meet.
import * as Schema from "effect/Schema"

export const Message = Schema.Struct({
  role: Schema.String,
  content: Schema.String,
  /** What an assistant turn calls, and which call a tool's turn answers, as chat templates read them. */
  tool_calls: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  tool_call_id: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String)
})
export type Message = typeof Message.Type

/** Text is encoded as it is; messages are rendered by the tokenizer's chat template. */
export const Content = Schema.Union([Schema.String, Schema.Array(Message)])
export type Content = typeof Content.Type

const shared = {
  /** Names the row in every message and report; unique within the data set. */
  id: Schema.String,
  prompt: Content,
  /** Numeric columns carried along for objectives that read them. */
  columns: Schema.Record(Schema.String, Schema.Finite),
  /** Definitions of the tools that the conversation may call, for the chat template. */
  tools: Schema.optionalKey(Schema.Array(Schema.Unknown))
}

export const Pair = Schema.Struct({
  ...shared,
  chosen: Content,
  rejected: Content,
  /** Text of which nobody said where the prompt ends: it ends where the two texts stop having the same tokens. */
  implicit: Schema.optionalKey(Schema.Literal(true))
})
export type Pair = typeof Pair.Type

/** An answer by itself, as KTO reads it: column `label` is 1 when it was liked, 0 when not. */
export const Unpaired = Schema.Struct({ ...shared, answer: Content })
export type Unpaired = typeof Unpaired.Type

export const Example = Schema.Union([Pair, Unpaired])
export type Example = typeof Example.Type

/** The answers of an example by side, in the order of sides. */
export const answersOf = (example: Example): ReadonlyArray<readonly ["chosen" | "rejected" | "answer", Content]> =>
  "answer" in example
    ? [["answer", example.answer]]
    : [["chosen", example.chosen], ["rejected", example.rejected]]
