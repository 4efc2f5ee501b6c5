// What a tokenizer.json must hold before the library may build on it, which takes any value for an id or a piece.
// Leaves out the parts that differ by kind (normalizer, decoder): what is wrong there shows when text is tried.

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isPair = (value: unknown): boolean =>
  typeof value === "string"
    ? value.includes(" ")
    : Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string")

/** Ids of the pieces: each once. A list of [piece, score] numbers them. */
const vocabularyFault = (vocab: unknown): string | undefined => {
  if (Array.isArray(vocab)) {
    const wrong = vocab.findIndex((entry: unknown) =>
      !(Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number")
    )
    return wrong === -1 ? undefined : `model.vocab.${wrong} is no piece with a score`
  }
  if (!isJson(vocab)) return "model.vocab is neither a list nor an object"
  const seen = new Set<unknown>()
  for (const [piece, id] of Object.entries(vocab)) {
    if (!isId(id)) return `model.vocab gives ${JSON.stringify(piece)} the id ${JSON.stringify(id)}`
    if (seen.has(id)) return `model.vocab gives two pieces the id ${id}`
    seen.add(id)
  }
  return undefined
}

/** What is wrong with the parsed file, in words; undefined when the library may have it. */
export const tokenizerFault = (file: Json): string | undefined => {
  const { added_tokens: added, model } = file
  if (!isJson(model)) return "model is missing or no object"
  const fault = vocabularyFault(model["vocab"])
  if (fault !== undefined) return fault
  const merges = model["merges"]
  if (merges !== undefined) {
    if (!Array.isArray(merges)) return "model.merges is no list"
    const wrong = merges.findIndex((merge) => !isPair(merge))
    if (wrong !== -1) return `model.merges.${wrong} is no pair of pieces`
  }
  if (!Array.isArray(added)) return "added_tokens is missing or no list"
  const wrong = added.findIndex((token: unknown) =>
    !(isJson(token) && isId(token["id"]) && typeof token["content"] === "string" && token["content"] !== "")
  )
  return wrong === -1 ? undefined : `added_tokens.${wrong} has no id or no content`
}
