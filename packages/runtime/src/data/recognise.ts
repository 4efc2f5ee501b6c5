// Which shape rows have, by the fields of one of them.
import type { Format } from "@penchant/dsl/Normalise"

/** Undefined when the row is of no shape that is known. */
export const recognise = (row: unknown): Format | undefined => {
  if (typeof row !== "object" || row === null) return undefined
  const has = (...names: ReadonlyArray<string>): boolean =>
    names.every((name) => Object.hasOwn(row, name) && Reflect.get(row, name) !== null)
  if (has("info", "summaries", "choice")) return "tldr"
  if (has("label") || has("kto_tag")) {
    return has("messages") || has("conversations") || has("completion")
      ? "unpaired"
      : undefined
  }
  if (!has("chosen", "rejected")) return undefined
  if (has("conversations")) return "sharegpt"
  const { chosen, prompt } = row as { readonly chosen: unknown; readonly prompt?: unknown }
  if (has("score_chosen", "score_rejected") && Array.isArray(chosen)) return "ultrafeedback"
  if (typeof prompt === "string" && /^(SUBREDDIT: r\/|TITLE: )/.test(prompt)) return "tldr"
  if (has("prompt")) return "plain"
  return typeof chosen === "string" && /\n\n(Human|Assistant):/.test(chosen) ? "hh" : "implicit"
}
