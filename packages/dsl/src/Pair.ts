// A preference pair: one prompt, the answer people preferred and the one they did not. Text or chat messages.
// Leaves out tokens: `Tokenise` says where prompt and answer meet.
import * as Schema from "effect/Schema"

export const Message = Schema.Struct({ role: Schema.String, content: Schema.String })
export type Message = typeof Message.Type

/** Text is encoded as it is; messages are rendered by the tokenizer's chat template. */
export const Content = Schema.Union([Schema.String, Schema.Array(Message)])
export type Content = typeof Content.Type

export const Pair = Schema.Struct({
  /** Names the row in every message and report; unique within the data set. */
  id: Schema.String,
  prompt: Content,
  chosen: Content,
  rejected: Content,
  /** Numeric columns carried along for objectives that read them. */
  columns: Schema.Record(Schema.String, Schema.Finite)
})
export type Pair = typeof Pair.Type
