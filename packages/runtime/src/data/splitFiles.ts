// Which files of a data folder make up a split, by the names that the Hugging Face Hub's data sets use.
import { BadFile } from "@penchant/dsl/Errors"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { conventionalSplits } from "./conventions.ts"
import { extensions } from "./rows.ts"
import { unreadable } from "./textFile.ts"

/**
 * Of `names` (relative, with "/"), those of the split, in the order of their names: files called after it, alone or in
 * shards (`train.jsonl.gz`, `train_prefs-00000-of-00001.parquet`, `valid1-00000-of-00001-0e33e6bd86e3edc9.parquet`), or
 * lying in a folder called after it. `extensions` are the ends of names that rows are read from.
 */
export const splitFiles = (
  names: ReadonlyArray<string>,
  { dir = "", split }: { readonly split: string; readonly dir?: string | undefined },
  extensions: ReadonlyArray<string>
): ReadonlyArray<string> =>
  names.filter((name) => {
    if (dir !== "" && !name.startsWith(dir.endsWith("/") ? dir : `${dir}/`)) return false
    const extension = extensions.find((end) => name.endsWith(end))
    if (extension === undefined) return false
    const parts = name.slice(0, -extension.length).split("/")
    const last = parts.pop()!
    return last === split ||
      (last.startsWith(`${split}-`) && /^-\d+-of-\d+(-[0-9a-f]+)?$/.test(last.slice(split.length))) ||
      parts.includes(split)
  }).toSorted()

const namesIn = async (folder: string): Promise<ReadonlyArray<string>> => {
  const names = await fs.readdir(folder, { recursive: true }).catch((error) => {
    throw unreadable(folder, error)
  })
  return names.map((name) => name.split(path.sep).join("/"))
}

/** Of a folder, the splits that its files are called after. Throws `BadFile`. */
export const splitsIn = async (folder: string): Promise<ReadonlyArray<string>> => [
  ...conventionalSplits(await namesIn(folder)).keys()
]

/** The files of a split in a folder, as paths. Throws `BadFile`. */
export const splitOf = async (folder: string, wanted: { readonly split: string; readonly dir?: string }) => {
  const files = splitFiles(await namesIn(folder), wanted, extensions)
  if (files.length > 0) return files.map((name) => path.join(folder, name))
  const there = await splitsIn(wanted.dir === undefined ? folder : path.join(folder, wanted.dir)).catch(() => [])
  throw new BadFile({
    file: folder,
    problem: `has no files of split "${wanted.split}"${wanted.dir === undefined ? "" : ` under ${wanted.dir}`}${
      there.length === 0 ? "" : `; there is ${there.join(", ")}`
    }`,
    remedy: `a split's files are called after it, and end in ${extensions.join(" ")}`
  })
}
