// Row schemas of the preference data that people train on. A row of a file is checked against one, and columns that it
// does not name are not read.
import * as Schema from "effect/Schema"

/** A chat message of a data set without tools. */
export const ChatMessage = Schema.Struct({ role: Schema.String, content: Schema.String })
export type ChatMessage = typeof ChatMessage.Type

/** HuggingFaceH4/ultrafeedback_binarized, `train_prefs` and `test_prefs`, and the mirror of trl-lib, which has no prompt. */
export interface UltraFeedbackRow {
  readonly prompt?: string
  readonly chosen: ReadonlyArray<ChatMessage>
  readonly rejected: ReadonlyArray<ChatMessage>
  readonly score_chosen: number
  readonly score_rejected: number
}
export const UltraFeedbackRow: Schema.Codec<UltraFeedbackRow> = Schema.Struct({
  prompt: Schema.optionalKey(Schema.String),
  chosen: Schema.Array(ChatMessage),
  rejected: Schema.Array(ChatMessage),
  score_chosen: Schema.Finite,
  score_rejected: Schema.Finite
})

/** openai/summarize_from_feedback, `comparisons`: a post of Reddit or an article of CNN/DM, two summaries, the better one. */
export interface TldrRow {
  readonly info: {
    readonly title: string
    readonly post?: string | null
    readonly subreddit?: string | null
    readonly article?: string | null
  }
  readonly summaries: ReadonlyArray<{ readonly text: string }>
  readonly choice: number
}
const Maybe = Schema.optionalKey(Schema.NullOr(Schema.String))
export const TldrRow: Schema.Codec<TldrRow> = Schema.Struct({
  info: Schema.Struct({ title: Schema.String, post: Maybe, subreddit: Maybe, article: Maybe }),
  summaries: Schema.Array(Schema.Struct({ text: Schema.String })),
  choice: Schema.Finite
})

const Turn = Schema.Struct({ from: Schema.String, value: Schema.String })
type Turn = typeof Turn.Type

/** A preference of the ShareGPT kind, as LLaMA-Factory writes them. */
export interface ShareGptRow {
  readonly conversations: ReadonlyArray<Turn>
  readonly chosen: Turn | ReadonlyArray<Turn>
  readonly rejected: Turn | ReadonlyArray<Turn>
  readonly system?: string | null
  readonly tools?: string | null
}
const Turns = Schema.Union([Turn, Schema.Array(Turn)])
export const ShareGptRow: Schema.Codec<ShareGptRow> = Schema.Struct({
  conversations: Schema.Array(Turn),
  chosen: Turns,
  rejected: Turns,
  system: Maybe,
  tools: Maybe
})

/** An answer and whether it was liked, KTO's form: the last turns of the assistant are the answer. */
export interface UnpairedRow {
  readonly messages: ReadonlyArray<ChatMessage>
  readonly label: boolean
}
export const UnpairedRow: Schema.Codec<UnpairedRow> = Schema.Struct({
  messages: Schema.Array(ChatMessage),
  label: Schema.Boolean
})
