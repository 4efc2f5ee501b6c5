// What the README of a data set says about its files: its configs, each with the files of its splits, in YAML between two
// lines of "---". https://huggingface.co/docs/hub/datasets-manual-configuration
import { HubError } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { parse } from "yaml"
import type { Repo } from "./cache.ts"

export const cardName = "README.md"

export interface Config {
  readonly name: string
  /** Where it lies in the repository; "" is all of it. */
  readonly dir: string
  /** Split -> patterns under `dir`; undefined: by the names of the files. */
  readonly splits: ReadonlyMap<string, ReadonlyArray<string>> | undefined
  /** What asks for another reading of the files than ours. */
  readonly reading: ReadonlyArray<string>
}

export interface Configs {
  readonly all: ReadonlyArray<Config>
  /** The one that is meant when none is named. */
  readonly main: Config | undefined
}

const Patterns = Schema.Union([Schema.String, Schema.Array(Schema.String)])
const DataFiles = Schema.Union([
  Patterns,
  Schema.Array(Schema.Struct({ split: Schema.String.check(Schema.isPattern(/^\w+(\.\w+)*$/)), path: Patterns }))
])
const Entry = Schema.Struct({
  config_name: Schema.String,
  data_files: Schema.optionalKey(Schema.NullOr(DataFiles)),
  data_dir: Schema.optionalKey(Schema.NullOr(Schema.String)),
  default: Schema.optionalKey(Schema.NullOr(Schema.Boolean))
})
const Card = Schema.Struct({ configs: Schema.optionalKey(Schema.NullOr(Schema.Array(Entry))) })
const decode = Schema.decodeUnknownResult(Card)
const RawCard = Schema.Struct({ configs: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) })
const isRaw = Schema.is(RawCard)

/** Parameters of `datasets`' readers that change what a row is, and the values that are ours anyway. */
const readings: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  sep: [","],
  delimiter: [","],
  names: [],
  column_names: [],
  header: ["infer", 0],
  quotechar: ["\""],
  quoting: [0],
  escapechar: [],
  encoding: ["utf-8", "utf8"],
  skiprows: [0],
  skipfooter: [0],
  nrows: [],
  comment: [],
  decimal: ["."],
  thousands: [],
  field: [],
  filters: []
}

const readingOf = (entry: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Object.entries(entry).filter(([name, value]) =>
    Object.hasOwn(readings, name) && value !== null && !readings[name]!.includes(value)
  ).map(([name]) => name)

const listed = (patterns: typeof Patterns.Type): ReadonlyArray<string> =>
  typeof patterns === "string" ? [patterns] : patterns

const splitsOf = (files: typeof DataFiles.Type): ReadonlyMap<string, ReadonlyArray<string>> | string => {
  if (typeof files === "string") return new Map([["train", [files]]])
  const splits = new Map<string, ReadonlyArray<string>>()
  for (const file of files) {
    if (typeof file === "string") splits.set("train", [...(splits.get("train") ?? []), file])
    else if (splits.has(file.split)) return file.split
    else splits.set(file.split, listed(file.path))
  }
  return splits
}

/** The configs of a README; undefined when it has none. */
export const configsOf = (repo: Repo, readme: string): Result.Result<Configs | undefined, HubError> => {
  const refuse = (problem: string) =>
    Result.fail(
      new HubError({
        repo,
        reason: "selection",
        problem: `${cardName}: ${problem}`,
        remedy: "its owner can mend it; until then choose with `files: \"data/*.parquet\"`"
      })
    )
  const block = /^\s*---[\r\n]+([^]*?)[\r\n]+---(?:\r\n|\n|$)/.exec(readme)?.[1]
  if (block === undefined) return Result.succeed(undefined)
  let value: unknown
  try {
    value = parse(block)
  } catch (error) {
    return refuse(`what stands between the lines of --- is no YAML: ${(error as Error).message.split("\n")[0]}`)
  }
  if (typeof value !== "object" || value === null || !Reflect.has(value, "configs")) return Result.succeed(undefined)
  const card = decode(value)
  if (Result.isFailure(card)) {
    return refuse(`configs are not what they must be: ${card.failure.message.replace(/\s+/g, " ")}`)
  }
  const entries = card.success.configs ?? []
  if (entries.length === 0) return Result.succeed(undefined)
  const raw = isRaw(value) ? value.configs : []
  const all = new Map<string, Config>()
  for (const [index, { config_name: name, data_dir, data_files }] of entries.entries()) {
    const splits = data_files === undefined || data_files === null ? undefined : splitsOf(data_files)
    if (typeof splits === "string") return refuse(`config "${name}" has two lists of files for split "${splits}"`)
    const dir = (data_dir ?? "").replace(/^(\.?\/)+|\/+$/g, "")
    all.set(name, { name, dir: dir === "." ? "" : dir, splits, reading: readingOf(raw[index] ?? {}) })
  }
  const mains = new Set(
    entries.filter((entry) => all.size === 1 || entry.config_name === "default" || entry.default === true)
      .map(({ config_name }) => config_name)
  )
  if (mains.size > 1) return refuse(`several configs are the default: ${[...mains].join(", ")}`)
  return Result.succeed({ all: [...all.values()], main: all.get([...mains][0] ?? "") })
}
