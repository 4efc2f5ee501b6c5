// Which files of a data set are which split when nothing says so: the names that `datasets` looks for, in its order.
// https://huggingface.co/docs/hub/datasets-file-names-and-splits
import picomatch from "picomatch"
import { extensions } from "./rows.ts"

/** Split -> its files, by name. */
export type Splits = ReadonlyMap<string, ReadonlyArray<string>>

const keywords = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"]
} as const

const sep = "[-._ 0-9]"
const inFolders = (word: string): ReadonlyArray<string> => [
  `**/${word}/**`,
  `**/${word}${sep}*/**`,
  `**/*${sep}${word}/**`,
  `**/*${sep}${word}${sep}*/**`
]
const inNames = (word: string): ReadonlyArray<string> => [`**/${word}${sep}*`, `**/*${sep}${word}${sep}*`]

/** Written by tools into every data set; rows of none. */
const ignored: ReadonlySet<string> = new Set([
  "config.json",
  "dataset_info.json",
  "dataset_infos.json",
  "dataset_dict.json"
])

/** Files whose rows can be read and whose path matches a pattern; hidden ones and those in `__x__` only where it names them. */
export const matching = (names: ReadonlyArray<string>, patterns: ReadonlyArray<string>): ReadonlyArray<string> => {
  const matchers = patterns.map((pattern) => {
    const special = pattern.split("/").slice(0, -1).filter((part) => part.startsWith("__")).length
    const matches = picomatch(pattern.replace(/^(\.?\/)+/, ""), { nobrace: true, noextglob: true, nonegate: true })
    return (name: string): boolean =>
      matches(name) && name.split("/").slice(0, -1).filter((part) => part.startsWith("__")).length === special
  })
  return names.filter((name) =>
    extensions.some((end) => name.endsWith(end)) &&
    (!ignored.has(name.split("/").at(-1)!) || patterns.some((pattern) => pattern.endsWith(name.split("/").at(-1)!))) &&
    matchers.some((matches) => matches(name))
  )
}

const sharded = "data/*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*"

/** The first of these that finds anything: shards in `data`, folders, names, all files as `train`. Empty without files. */
export const conventionalSplits = (names: ReadonlyArray<string>): Splits => {
  const shards = Map.groupBy(matching(names, [sharded]), (name) => /^data\/(.+)-\d{5}-of-\d{5}/.exec(name)![1]!)
  if (shards.size > 0) return shards
  for (const patternsOf of [inFolders, inNames]) {
    const found = Object.entries(keywords)
      .map(([split, words]) => [split, matching(names, words.flatMap(patternsOf))] as const)
      .filter(([, files]) => files.length > 0)
    if (found.length > 0) return new Map(found)
  }
  const all = matching(names, ["**"])
  return all.length === 0 ? new Map() : new Map([["train", all]])
}
