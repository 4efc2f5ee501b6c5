// A SentencePiece model as the tokenizer library reads one: a tokenizer.json in memory, with SentencePiece's own
// normalisation and decoding in place of the library's, which only approximate them.
// Beside a tokenizer_config.json the control pieces (`<s>`, `</s>`) are found in text, as transformers does and chat
// templates need; alone, the model does what SentencePiece does, to which they are ordinary characters.
import type { BadFile } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import { charsMap } from "./charsMap.ts"
import { type LibraryTokenizer, libraryTokenizer } from "./libraryTokenizer.ts"
import { type Piece, type SentencePieceModel, sentencePieceModel } from "./sentencePieceModel.ts"

const space = "▁"

/** Text as the model sees it: mapped characters, white space evened out where the model wants it, spaces as "▁". */
const normaliser = (model: SentencePieceModel): (text: string) => string => {
  const map = charsMap(model.charsMap)
  return (text) => {
    let mapped = map(text)
    if (model.removeExtraWhitespaces) mapped = mapped.replaceAll(/ +/g, " ").replaceAll(/^ | $/g, "")
    if (mapped === "") return ""
    return `${model.addDummyPrefix ? space : ""}${mapped}`.replaceAll(" ", space)
  }
}

/**
 * Merges that make the pieces, best piece first: wherever SentencePiece would join two neighbours into the piece of the
 * highest score, the first merge in this order that applies is the same.
 */
const mergesOf = (pieces: ReadonlyArray<Piece>): ReadonlyArray<readonly [string, string]> => {
  const joinable = new Map(
    pieces.flatMap(({ kind, score, text }, id) => kind === "normal" ? [[text, { id, score }] as const] : [])
  )
  const found: Array<{ readonly merge: readonly [string, string]; readonly id: number; readonly score: number }> = []
  for (const [text, { id, score }] of joinable) {
    const characters = Array.from(text)
    for (let at = 1; at < characters.length; at++) {
      const merge = [characters.slice(0, at).join(""), characters.slice(at).join("")] as const
      if (joinable.has(merge[0]) && joinable.has(merge[1])) found.push({ merge, id, score })
    }
  }
  return found.toSorted((a, b) => b.score - a.score || a.id - b.id).map(({ merge }) => merge)
}

/** No text holds half a surrogate pair, so nothing in a text is taken for a control piece. */
const hidden = (text: string): string => `\ud800${text}`

const modelOf = ({ byteFallback, pieces, type, unknown }: SentencePieceModel): object => {
  // Only the library's search is kept from finding them; their names are given back below.
  const searched = pieces.map(({ kind, text }) => kind === "normal" || kind === "byte" ? text : hidden(text))
  if (type === "Unigram") {
    return {
      type,
      unk_id: unknown,
      vocab: searched.map((text, id) => [text, pieces[id]!.score]),
      byte_fallback: byteFallback
    }
  }
  return {
    type,
    unk_token: searched[unknown],
    fuse_unk: true,
    byte_fallback: byteFallback,
    vocab: Object.fromEntries(searched.map((text, id) => [text, id])),
    merges: mergesOf(pieces)
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** Characters of bytes; each byte that starts none is a replacement character. */
const charactersOf = (bytes: ReadonlyArray<number>): string => {
  let text = ""
  for (let at = 0; at < bytes.length;) {
    const width = bytes[at]! < 0x80 ? 1 : bytes[at]! < 0xe0 ? 2 : bytes[at]! < 0xf0 ? 3 : 4
    const one = utf8.decode(Uint8Array.from(bytes.slice(at, at + width)))
    const valid = Array.from(one).length === 1 && one !== "\ufffd"
    text += valid ? one : "\ufffd"
    at += valid ? width : 1
  }
  return text
}

/** Text of ids. Control pieces are written out unless skipped; spaces at the start are the dummy prefix. */
const decoder =
  ({ addDummyPrefix, pieces, removeExtraWhitespaces }: SentencePieceModel) =>
  (ids: ReadonlyArray<number>, { skip_special_tokens }: { readonly skip_special_tokens: boolean }): string => {
    let text = ""
    let bytes: Array<number> = []
    let atStart = addDummyPrefix || removeExtraWhitespaces
    const flush = (): void => {
      text += charactersOf(bytes)
      bytes = []
    }
    for (const id of ids) {
      const { kind, text: piece } = pieces[id] ?? { kind: "unknown", text: "" }
      if (kind === "byte") {
        bytes.push(Number.parseInt(piece.slice(3, 5), 16))
        atStart = false
        continue
      }
      flush()
      if (kind === "unknown") text += " \u2047 "
      else if (kind === "control") text += skip_special_tokens ? "" : piece
      else {
        const starts = atStart && piece.startsWith(space)
        text += (starts ? piece.slice(1) : piece).replaceAll(space, " ")
        if (starts && !removeExtraWhitespaces) atStart = false
      }
      atStart &&= text === ""
    }
    flush()
    return text
  }

type Json = Readonly<Record<string, unknown>>

/** The library's tokenizer of a model, and the names of its special tokens. `config` is that of a folder that has one. */
export const sentencePiece = (
  bytes: Uint8Array,
  file: string,
  config: Json | undefined
): Result.Result<
  {
    readonly library: (names: Readonly<Record<string, string>>) => LibraryTokenizer
    readonly names: Readonly<Record<string, string>>
  },
  BadFile
> =>
  Result.map(sentencePieceModel(bytes, file), (model) => {
    const { bos, eos, pieces } = model
    const names: Record<string, string> = {}
    for (const [name, id] of [["bos_token", bos], ["eos_token", eos], ["unk_token", model.unknown]] as const) {
      if (id !== undefined) names[name] = pieces[id]!.text
    }
    const special = pieces.flatMap(({ kind, text }, id) =>
      kind === "control" || kind === "unknown" ? [{ id, content: text, special: true }] : []
    )
    const listed = typeof config?.["added_tokens_decoder"] === "object" && config["added_tokens_decoder"] !== null
      ? Object.entries(config["added_tokens_decoder"]).map(([id, token]) =>
        Object.assign({}, token, { id: Number(id) })
      )
      : special
    const own = pieces.flatMap(({ kind, text }, id) =>
      kind === "userDefined" ? [{ id, content: text, special: false }] : []
    )
    const first = names["bos_token"]
    const addsBos = config !== undefined && first !== undefined && config["add_bos_token"] !== false
    const library = (given: Readonly<Record<string, string>>): LibraryTokenizer => {
      const made = libraryTokenizer(
        {
          added_tokens: config === undefined ? own : [...listed, ...own],
          normalizer: null,
          pre_tokenizer: null,
          post_processor: addsBos
            ? {
              type: "TemplateProcessing",
              single: [{ SpecialToken: { id: first, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
              pair: [],
              special_tokens: { [first]: { id: first, ids: [bos], tokens: [first] } }
            }
            : null,
          decoder: null,
          model: modelOf(model)
        },
        { ...config, ...given }
      )
      const ids = new Map(pieces.map(({ text }, id) => [text, id]))
      const { get_added_tokens_decoder, id_to_token, token_to_id } = made
      return Object.assign(made, {
        normalizer: normaliser(model),
        decode: decoder(model),
        token_to_id: (token: string) => ids.get(token) ?? token_to_id.call(made, token),
        id_to_token: (id: number) => pieces[id]?.text ?? id_to_token.call(made, id),
        get_added_tokens_decoder: () =>
          new Map([
            ...special.map(({ id }) => [id, { special: true }] as const),
            ...get_added_tokens_decoder.call(made)
          ])
      })
    }
    return { library, names }
  })
