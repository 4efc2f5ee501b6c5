// A tokenizer folder of the Hugging Face kind: text <-> ids, its special tokens, its chat template.
// Leaves out where prompt and answer meet (`boundary.ts`). BOS is never added here unless asked: see `addsBos`.
import { BadFile } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { byteLevelEncoder } from "./byteLevelEncoder.ts"
import { type ChatTemplate, chatTemplate } from "./chatTemplate.ts"
import { jsonFault } from "./jsonFault.ts"
import { type LibraryTokenizer, libraryTokenizer, tryOut } from "./libraryTokenizer.ts"
import { sentencePiece } from "./sentencePiece.ts"
import { unreadable } from "./textFile.ts"
import { tokenizerFault } from "./tokenizerFile.ts"
import { cacheWords } from "./wordCache.ts"

export interface Tokenizer {
  /** The folder, for messages. */
  readonly directory: string
  /** Ids of a text; -1 where a piece is not in the vocabulary. `special` adds what the tokenizer itself adds, such as BOS. */
  readonly encode: (text: string, special: boolean) => Array<number>
  /** Text of ids, special tokens written out unless `skipSpecial`. */
  readonly decode: (ids: ArrayLike<number>, skipSpecial?: boolean) => string
  /** The vocabulary's own spelling of one id, such as "▁the" or "<0x0A>". */
  readonly piece: (id: number) => string
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** Ids marked as special: BOS, EOS, ends of turns. */
  readonly special: ReadonlySet<number>
  /** Whether the tokenizer itself puts BOS first. */
  readonly addsBos: boolean
  /** Whether text starts with BOS: there is one, and the tokenizer's config does not say `add_bos_token: false`. */
  readonly textHasBos: boolean
  /** 1 + the largest id. A model's vocabulary may be larger (padding) and must not be smaller. */
  readonly vocabSize: number
  /** Parsed on first use, so that a template nobody needs cannot fail. */
  readonly chatTemplate: () => Result.Result<ChatTemplate, BadFile>
}

type Json = Readonly<Record<string, unknown>>

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const text = (file: string): Effect.Effect<string, BadFile> =>
  Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: (error) => unreadable(file, error) })

/** A file that may be missing. */
const optional = (file: string): Effect.Effect<string | undefined, BadFile> =>
  text(file).pipe(Effect.catchIf((error) => error.problem === "no such file", () => Effect.undefined))

/** The JSON object in a file; empty when an optional file is missing. */
const object = (file: string, source: string | undefined): Effect.Effect<Json, BadFile> => {
  if (source === undefined) return Effect.succeed({})
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch {
    const { at, problem } = jsonFault(source)
    return Effect.fail(new BadFile({ file, problem: `malformed JSON at character ${at}: ${problem}` }))
  }
  return isJson(value) ? Effect.succeed(value) : Effect.fail(new BadFile({ file, problem: "holds no JSON object" }))
}

/** Special tokens by name; older folders write them as objects. */
const tokenNames = (config: Json): Record<string, string> => {
  const names: Record<string, string> = {}
  for (const [name, value] of Object.entries(config)) {
    const content = isJson(value) ? value["content"] : value
    if (name.endsWith("_token") && typeof content === "string") names[name] = content
  }
  return names
}

/** A template alone, or the one called "default" of several. */
const templateOf = (config: Json): string | undefined => {
  const { chat_template: template } = config
  if (!Array.isArray(template)) return typeof template === "string" ? template : undefined
  const named: unknown = template.find((one: unknown) => isJson(one) && one["name"] === "default")
  return isJson(named) && typeof named["template"] === "string" ? named["template"] : undefined
}

/** What a folder's file of tokens gives: the library's tokenizer, and special tokens that the file itself names. */
interface Source {
  readonly file: string
  readonly names: Readonly<Record<string, string>>
  readonly library: (names: Readonly<Record<string, string>>) => LibraryTokenizer
}

/** SentencePiece's file, for folders that have no tokenizer.json. */
const pieces = Effect.fnUntraced(function*(directory: string, config: Json | undefined) {
  const file = join(directory, "tokenizer.model")
  const bytes = yield* Effect.tryPromise({ try: () => readFile(file), catch: (error) => unreadable(file, error) }).pipe(
    Effect.catchIf((error) => error.problem === "no such file", () =>
      new BadFile({
        file: join(directory, "tokenizer.json"),
        problem: "no such file, nor a tokenizer.model",
        remedy: `transformers writes one: AutoTokenizer.from_pretrained("${directory}").save_pretrained("${directory}")`
      }))
  )
  return yield* Effect.fromResult(
    Result.map(sentencePiece(bytes, file, config), (made): Source => ({ file, ...made }))
  )
})

const build = (
  directory: string,
  source: Source,
  files: { readonly config: Json; readonly special: Json; readonly template: string | undefined }
): Result.Result<Tokenizer, BadFile> => {
  const { file } = source
  const names = { ...source.names, ...tokenNames(files.special), ...tokenNames(files.config) }
  const made = Result.try({
    try: () => {
      const library = source.library(names)
      cacheWords(library.model)
      tryOut(library)
      return library
    },
    catch: (error) =>
      new BadFile({ file, problem: `cannot be used: ${error instanceof Error ? error.message : String(error)}` })
  })
  return Result.flatMap(made, (library) =>
    Result.gen(function*() {
      const idOf = (name: string): Result.Result<number | undefined, BadFile> => {
        const token = names[name]
        if (token === undefined) return Result.succeed(undefined)
        const id = library.token_to_id(token)
        return id === undefined
          ? Result.fail(
            new BadFile({
              file: join(directory, "tokenizer_config.json"),
              problem: `${name} "${token}" is not in the vocabulary`
            })
          )
          : Result.succeed(id)
      }
      const bos = yield* idOf("bos_token")
      const eos = yield* idOf("eos_token")
      const special = new Set<number>()
      for (const [id, token] of library.get_added_tokens_decoder()) if (token.special) special.add(id)
      for (const id of [bos, eos]) if (id !== undefined) special.add(id)
      let template: Result.Result<ChatTemplate, BadFile> | undefined
      const plainly = byteLevelEncoder(library)
      const encode = (text: string, add: boolean): Array<number> =>
        plainly !== undefined && !add
          ? plainly(text)
          : library.encode(text, { add_special_tokens: add }).ids.map((id) => id ?? -1)
      const addsBos = bos !== undefined && encode("a", true)[0] === bos
      const tokenizer: Tokenizer = {
        directory,
        encode,
        decode: (ids, skipSpecial = false) =>
          ids.length === 0 ? "" : library.decode(Array.from(ids), {
            skip_special_tokens: skipSpecial,
            // English detokenisation is of the BERT age: decoded text must be what was encoded.
            clean_up_tokenization_spaces: false
          }),
        piece: (id) => library.id_to_token(id) ?? `<${id}>`,
        bos,
        eos,
        special,
        addsBos,
        textHasBos: addsBos || (bos !== undefined && files.config["add_bos_token"] !== false),
        vocabSize: library.model.vocab.length,
        chatTemplate: () =>
          template ??= files.template === undefined
            ? Result.fail(
              new BadFile({
                file: join(directory, "tokenizer_config.json"),
                problem: "has no chat_template, which rows of messages need",
                remedy: "use a chat model's tokenizer, or rows of text"
              })
            )
            : Result.mapError(
              chatTemplate(files.template, names),
              (problem) => new BadFile({ file: join(directory, "tokenizer_config.json"), problem })
            )
      }
      return tokenizer
    }))
}

/**
 * Loads `tokenizer.json` and `tokenizer_config.json`, or, where there is no tokenizer.json, SentencePiece's
 * `tokenizer.model` with a config or without; `special_tokens_map.json` and `chat_template.jinja` are read when they are
 * there, the latter before the template in the config, as transformers does.
 */
export const loadTokenizer: (directory: string) => Effect.Effect<Tokenizer, BadFile> = Effect.fnUntraced(
  function*(directory) {
    const at = (name: string): string => join(directory, name)
    const read = (name: string) => Effect.flatMap(optional(at(name)), (source) => object(at(name), source))
    const json = yield* optional(at("tokenizer.json"))
    const settings = yield* json === undefined
      ? optional(at("tokenizer_config.json"))
      : text(at("tokenizer_config.json"))
    const config = yield* object(at("tokenizer_config.json"), settings)
    const source = yield* json === undefined
      ? pieces(directory, settings === undefined ? undefined : config)
      : Effect.flatMap(object(at("tokenizer.json"), json), (tokenizer): Effect.Effect<Source, BadFile> => {
        const file = at("tokenizer.json")
        const fault = tokenizerFault(tokenizer)
        if (fault !== undefined) return Effect.fail(new BadFile({ file, problem: `cannot be used: ${fault}` }))
        return Effect.succeed({
          file,
          names: {},
          library: (names) => libraryTokenizer(tokenizer, { ...config, ...names })
        })
      })
    const special = yield* read("special_tokens_map.json")
    const template = (yield* optional(at("chat_template.jinja"))) ?? templateOf(config)
    return yield* Effect.fromResult(build(directory, source, { config, special, template }))
  }
)
