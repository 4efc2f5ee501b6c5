// A SentencePiece `.model` file: a protobuf message of pieces and of the two specs that say how text is normalised.
// Only the fields that encoding needs; https://github.com/google/sentencepiece, src/sentencepiece_model.proto.
import { BadFile } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"

/** What a piece is for; the numbers of the format. */
export type PieceKind = "normal" | "unknown" | "control" | "userDefined" | "unused" | "byte"
const kinds: Readonly<Record<number, PieceKind>> = {
  1: "normal",
  2: "unknown",
  3: "control",
  4: "userDefined",
  5: "unused",
  6: "byte"
}

export interface Piece {
  readonly text: string
  readonly score: number
  readonly kind: PieceKind
}

export interface SentencePieceModel {
  readonly type: "BPE" | "Unigram"
  /** By id. */
  readonly pieces: ReadonlyArray<Piece>
  readonly unknown: number
  readonly bos: number | undefined
  readonly eos: number | undefined
  readonly byteFallback: boolean
  readonly addDummyPrefix: boolean
  readonly removeExtraWhitespaces: boolean
  /** The precompiled map of characters; empty for the identity. */
  readonly charsMap: Uint8Array
}

type Value = number | Uint8Array
/** Values of each field in order: varints and 32-bit numbers as numbers, 64-bit ones left out, the rest as bytes. */
type Message = ReadonlyMap<number, ReadonlyArray<Value>>

class Malformed extends Error {}

const varint = (bytes: Uint8Array, at: number): readonly [value: number, next: number] => {
  let value = 0
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) throw new Malformed("it ends inside a number")
    // Numbers here are small; negative ones are written as 64 bits and come out as beyond 2^63.
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return [value, at + i + 1]
  }
  throw new Malformed("a number has more than ten bytes")
}

const messageOf = (bytes: Uint8Array): Message => {
  const fields = new Map<number, Array<Value>>()
  let at = 0
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new Malformed("it ends inside a field")
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const [tag, next] = varint(bytes, at)
    at = next
    const read = (): Value => {
      switch (tag % 8) {
        case 0: {
          const [value, after] = varint(bytes, at)
          at = after
          return value
        }
        case 1:
          return take(8)
        case 2: {
          const [length, after] = varint(bytes, at)
          at = after
          return take(length)
        }
        case 5: {
          const four = take(4)
          return new DataView(four.buffer, four.byteOffset, 4).getFloat32(0, true)
        }
        default:
          throw new Malformed(`a field of wire type ${tag % 8}`)
      }
    }
    const field = Math.floor(tag / 8)
    const value = read()
    const values = fields.get(field)
    if (values === undefined) fields.set(field, [value])
    else values.push(value)
  }
  return fields
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textIn = (message: Message, field: number): string => {
  const value = message.get(field)?.at(-1)
  if (!(value instanceof Uint8Array)) throw new Malformed("a piece has no text")
  try {
    return utf8.decode(value)
  } catch {
    throw new Malformed("a piece is not UTF-8 text")
  }
}
const numberIn = (message: Message, field: number, otherwise: number): number => {
  const value = message.get(field)?.at(-1) ?? otherwise
  if (typeof value !== "number" || Number.isNaN(value)) throw new Malformed(`field ${field} is no number`)
  return value
}
const partIn = (message: Message, field: number): Message => {
  const value = message.get(field)?.at(-1)
  return value instanceof Uint8Array ? messageOf(value) : new Map()
}

const pieceOf = (value: Value): Piece => {
  if (!(value instanceof Uint8Array)) throw new Malformed("a piece is a number")
  const message = messageOf(value)
  const kind = kinds[numberIn(message, 3, 1)]
  if (kind === undefined) throw new Malformed(`a piece of kind ${numberIn(message, 3, 1)}`)
  return { text: textIn(message, 1), score: numberIn(message, 2, 0), kind }
}

const types: Readonly<Record<number, SentencePieceModel["type"] | undefined>> = { 1: "Unigram", 2: "BPE" }

/** Reads a `.model` file; `file` names it in messages. Models of words or characters are not supported. */
export const sentencePieceModel = (bytes: Uint8Array, file: string): Result.Result<SentencePieceModel, BadFile> =>
  Result.try({
    try: () => {
      const model = messageOf(bytes)
      const [trainer, normaliser] = [partIn(model, 2), partIn(model, 3)]
      const pieces = (model.get(1) ?? []).map(pieceOf)
      const type = types[numberIn(trainer, 3, 1)]
      if (type === undefined) throw new Malformed(`its type is ${numberIn(trainer, 3, 1)}, neither unigram nor BPE`)
      const unknown = pieces.findIndex(({ kind }) => kind === "unknown")
      if (unknown === -1) throw new Malformed("it has no unknown piece")
      const texts = new Set(pieces.map(({ text }) => text))
      if (texts.size < pieces.length) throw new Malformed("two pieces have one text")
      const idAt = (field: number, otherwise: number): number | undefined => {
        const id = numberIn(trainer, field, otherwise)
        return pieces[id]?.kind === "control" ? id : undefined
      }
      const charsMap = normaliser.get(2)?.at(-1)
      return {
        type,
        pieces,
        unknown,
        bos: idAt(41, 1),
        eos: idAt(42, 2),
        byteFallback: pieces.some(({ kind }) => kind === "byte"),
        addDummyPrefix: numberIn(normaliser, 3, 1) !== 0,
        removeExtraWhitespaces: numberIn(normaliser, 4, 1) !== 0,
        charsMap: charsMap instanceof Uint8Array ? charsMap : new Uint8Array()
      }
    },
    catch: (error) => {
      if (!(error instanceof Malformed)) throw error
      return new BadFile({
        file,
        problem: `not a SentencePiece model: ${error.message}`,
        remedy: "fetch it again, or put the tokenizer.json that transformers saves beside it"
      })
    }
  })
