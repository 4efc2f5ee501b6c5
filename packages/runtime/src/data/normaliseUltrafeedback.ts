// Rows of UltraFeedback Binarized: a prompt as text, two conversations that repeat it, and a score of each. The mirror
// that has no prompt column is read by its turns. https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized
import { contentIn, conversationPair } from "./conversation.ts"
import type { Fields, Part } from "./normalised.ts"

export const ultrafeedbackPart = (fields: Fields): Part => (row) => {
  const prompt = fields.maybe(row, "prompt") === undefined ? undefined : fields.text(row, "prompt")
  const score_chosen = fields.finite(row, "score_chosen")
  const score_rejected = fields.finite(row, "score_rejected")
  const { odd = [], ...parted } = conversationPair(
    prompt,
    contentIn(fields, row, "chosen"),
    contentIn(fields, row, "rejected"),
    { id: row.id, columns: { score_chosen, score_rejected } }
  )
  return { ...parted, odd: score_chosen > score_rejected ? odd : [...odd, "scores do not prefer the chosen"] }
}
