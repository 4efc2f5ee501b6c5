// The part of @huggingface/tokenizers that is used, typed here: its own declarations import without file endings,
// which Node's resolution (and so ours) turns into `any`.
import { Tokenizer } from "@huggingface/tokenizers"

export interface LibraryModel {
  readonly config: {
    readonly type?: string
    readonly merges?: ReadonlyArray<string | ReadonlyArray<string>>
    readonly end_of_word_suffix?: string | null
    readonly continuing_subword_suffix?: string | null
    readonly ignore_merges?: boolean
  }
  /** Token of each id. */
  readonly vocab: ReadonlyArray<string>
  readonly tokens_to_ids: ReadonlyMap<string, number>
  readonly unk_token_id?: number | undefined
  readonly fuse_unk: boolean
  /** Words to tokens, each word by itself. */
  encode: (words: ReadonlyArray<string>) => Array<string>
}

/** A step that cuts text into words; a function with fields. One that spells bytes has `byte_encoder`. */
export interface LibraryPreTokenizer {
  readonly tokenizers?: ReadonlyArray<LibraryPreTokenizer | null>
  readonly pre_tokenize: (words: ReadonlyArray<string>, options: object) => ReadonlyArray<string>
  readonly byte_encoder?: Readonly<Record<number, string>>
  readonly add_prefix_space?: boolean
  readonly use_regex?: boolean
  readonly pattern?: RegExp
}

interface LibraryAddedToken {
  readonly id: number
  readonly lstrip: boolean
  readonly rstrip: boolean
}

export interface LibraryTokenizer {
  readonly model: LibraryModel
  readonly normalizer: ((text: string) => string) | null
  readonly pre_tokenizer: LibraryPreTokenizer | null
  readonly added_tokens: ReadonlyArray<LibraryAddedToken>
  readonly added_tokens_map: ReadonlyMap<string, LibraryAddedToken>
  /** Cut a text at the added tokens that are found before it is normalised, and after. */
  readonly splitter_unnormalized: { readonly split: (text: string) => ReadonlyArray<string> }
  readonly splitter_normalized: { readonly split: (text: string) => ReadonlyArray<string> }
  readonly remove_space?: boolean
  readonly do_lowercase_and_remove_accent?: boolean
  readonly encode: (text: string, options: { readonly add_special_tokens: boolean }) => {
    /** Undefined where a piece is not in the vocabulary and there is no unknown token. */
    readonly ids: ReadonlyArray<number | undefined>
  }
  readonly decode: (
    ids: ReadonlyArray<number>,
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean }
  ) => string
  readonly token_to_id: (token: string) => number | undefined
  readonly id_to_token: (id: number) => string | undefined
  readonly get_added_tokens_decoder: () => ReadonlyMap<number, { readonly special: boolean }>
}

/** A decoder, or a sequence of them; decoders are functions with fields. */
interface LibraryDecoder {
  readonly decoders?: ReadonlyArray<LibraryDecoder>
  text_decoder?: InstanceType<typeof TextDecoder>
}

/** Decoders of single bytes drop a byte order mark in the middle of a text, which is a character like any other there. */
const keepMarks = (decoder: LibraryDecoder | null): void => {
  if (decoder === null) return
  if (decoder.text_decoder !== undefined) decoder.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  for (const inner of decoder.decoders ?? []) keepMarks(inner)
}

/** Throws when the files are not a tokenizer that the library knows. */
export const libraryTokenizer = (tokenizer: object, config: object): LibraryTokenizer => {
  const made = new Tokenizer(tokenizer, config) as LibraryTokenizer & { readonly decoder: LibraryDecoder | null }
  keepMarks(made.decoder)
  return made
}

/** A file with a field of the wrong kind fails when that field is first used: here, not in the middle of the data. */
export const tryOut = (library: LibraryTokenizer): void => {
  const { ids } = library.encode(" a1, b's é\u732b\n\ud83d\ude00\0", { add_special_tokens: true })
  const wrong = ids.find((id) => id !== undefined && !(Number.isSafeInteger(id) && id >= 0))
  if (wrong !== undefined) throw new Error(`it gives ${String(wrong)} for an id`)
  const known = ids.filter((id) => id !== undefined)
  const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false }
  if (known.length > 0 && typeof library.decode(known, options) !== "string") throw new Error("it decodes to no text")
}
