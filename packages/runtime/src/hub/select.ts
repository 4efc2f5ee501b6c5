// Which files of a repository a reference means: the split of a data set, or what makes up a model.
import { HubError } from "@penchant/dsl/Errors"
import type { Reference } from "@penchant/dsl/Reference"
import * as Result from "effect/Result"
import picomatch from "picomatch"
import { conventionalSplits, matching, type Splits } from "../data/conventions.ts"
import { extensions } from "../data/rows.ts"
import { splitFiles } from "../data/splitFiles.ts"
import { isModelFile, isWeights } from "../model/files.ts"
import type { Config, Configs } from "./card.ts"
import type { RemoteFile } from "./repository.ts"

const listed = (names: ReadonlyArray<string>): string =>
  names.length === 0
    ? "nothing"
    : `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`

/** A choice that cannot be made, and what to do. */
interface Refused {
  readonly problem: string
  readonly remedy: string
}
type Chosen = Result.Result<ReadonlyArray<string>, Refused>

const refuse = (problem: string, remedy: string): Chosen => Result.fail({ problem, remedy })

const isReadable = (name: string): boolean => extensions.some((end) => name.endsWith(end))

/** The files of a split by their names alone. */
const byName = (names: ReadonlyArray<string>, split: string, dir: string | undefined): Chosen => {
  const under = dir === undefined ? names : names.filter((name) => name.startsWith(`${dir}/`))
  const within = dir === undefined ? under : under.map((name) => name.slice(dir.length + 1))
  const splits: Splits = conventionalSplits(within)
  const found = splits.get(split)
  if (found !== undefined) return Result.succeed(dir === undefined ? found : found.map((name) => `${dir}/${name}`))
  // A split of another name than these may still be what its files are called.
  const called = splitFiles(under, { split }, extensions)
  if (called.length > 0) return Result.succeed(called)
  const where = dir === undefined ? "" : ` under ${dir}`
  const script = under.find((name) => !name.includes("/") && name.endsWith(".py"))
  if (splits.size === 0 && script !== undefined) {
    return refuse(
      `has no files of rows${where}: they come from ${script}, which is never run`,
      "the Hub's own conversion may be there: revision: \"refs/convert/parquet\", with dir: \"CONFIG\""
    )
  }
  const others = splits.size === 0 ? "" : `, only of ${listed([...splits.keys()])}`
  return refuse(
    `has no files of split "${split}"${others}${where}; there is ${listed(under.filter(isReadable))}`,
    "name a split or dir that is there, or choose with `files: \"data/*.parquet\"`"
  )
}

/** The files of a split of a config. */
const ofConfig = (names: ReadonlyArray<string>, split: string, config: Config): Chosen => {
  const { dir, name: called, reading, splits } = config
  if (reading.length > 0) {
    return refuse(
      `config "${called}" asks for ${reading.join(", ")}, which files are not read by here`,
      "fetch the file and read it with Dataset.file, or choose files of another format with `files`"
    )
  }
  const named = dir === "" ? undefined : dir
  if (splits === undefined) {
    return Result.mapError(byName(names, split, named), ({ problem, remedy }) => ({
      problem: `config "${called}" ${problem}`,
      remedy
    }))
  }
  const patterns = splits.get(split)
  if (patterns === undefined) {
    return refuse(
      `config "${called}" has no split "${split}"; it has ${listed([...splits.keys()])}`,
      "name one of them"
    )
  }
  const elsewhere = patterns.find((pattern) => pattern.includes("://"))
  if (elsewhere !== undefined) {
    return refuse(
      `config "${called}" takes ${elsewhere}, which is not in the repository`,
      "fetch it and read it with Dataset.file"
    )
  }
  const within = named === undefined ? names : names.filter((name) => name.startsWith(`${named}/`))
  const found = matching(named === undefined ? within : within.map((name) => name.slice(named.length + 1)), patterns)
  if (found.length > 0) return Result.succeed(named === undefined ? found : found.map((name) => `${named}/${name}`))
  return refuse(
    `config "${called}" takes ${
      patterns.join(", ")
    } for split "${split}", and no file that rows are read from is called so`,
    `rows are read from ${extensions.join(" ")}; there is ${listed(within.filter(isReadable))}`
  )
}

const datasetFiles = (names: ReadonlyArray<string>, reference: Reference, configs: Configs | undefined): Chosen => {
  const { config, dir, files, split = "train" } = reference
  if (files !== undefined) {
    const matches = picomatch([...files])
    const found = names.filter((name) => (dir === undefined || name.startsWith(`${dir}/`)) && matches(name))
    return found.length > 0 ? Result.succeed(found) : refuse(
      `has no files of ${files.join(", ")}${dir === undefined ? "" : ` under ${dir}`}; there is ${
        listed(names.filter(isReadable))
      }`,
      "name files that are there"
    )
  }
  if (dir !== undefined) return byName(names, split, dir)
  if (configs === undefined) {
    return config === undefined
      ? byName(names, split, undefined)
      : refuse(`names no configs, so there is no "${config}"`, "leave `config` out, or choose with `dir` or `files`")
  }
  const known = listed(configs.all.map(({ name }) => name))
  const chosen = config === undefined ? configs.main : configs.all.find(({ name }) => name === config)
  if (chosen !== undefined) return ofConfig(names, split, chosen)
  return config === undefined
    ? refuse(`has several configs and none is the default: ${known}`, `say which: config: "${configs.all[0]!.name}"`)
    : refuse(`has no config "${config}"; there is ${known}`, "name one of them")
}

/** In the order of their names; never none. `configs` are what the README of a data set says. */
export const selectFiles = (
  all: ReadonlyArray<RemoteFile>,
  reference: Reference,
  configs?: Configs
): Result.Result<ReadonlyArray<RemoteFile>, HubError> => {
  const { repo } = reference
  const names = all.map(({ path }) => path)
  const failed = ({ problem, remedy }: Refused) => new HubError({ repo, reason: "selection", problem, remedy })
  if (repo.startsWith("models/")) {
    if (!names.some(isWeights)) {
      const pickled = names.filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name))
      return Result.fail(failed({
        problem: `has no model.safetensors${
          pickled.length === 0 ? "" : `, only ${listed(pickled)}, which could run code`
        }`,
        remedy: "its revisions may have one (refs/pr/...), or convert it and use Model.dir"
      }))
    }
    return Result.succeed(all.filter(({ path }) => isModelFile(path)))
  }
  return Result.map(Result.mapError(datasetFiles(names, reference, configs), failed), (chosen) => {
    const wanted = new Set(chosen)
    return all.filter(({ path }) => wanted.has(path))
  })
}
