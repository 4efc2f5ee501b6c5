// Which files of a repository a reference means: the split of a data set, or what makes up a model.
import { HubError } from "@penchant/dsl/Errors"
import type { Reference } from "@penchant/dsl/Reference"
import * as Result from "effect/Result"
import picomatch from "picomatch"
import { extensions } from "../data/rows.ts"
import { splitFiles } from "../data/splitFiles.ts"
import { isModelFile, isWeights } from "../model/files.ts"
import type { RemoteFile } from "./repository.ts"

const listed = (names: ReadonlyArray<string>): string =>
  names.length === 0
    ? "nothing"
    : `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`

const datasetFiles = (names: ReadonlyArray<string>, { dir, files, split }: Reference): ReadonlyArray<string> => {
  if (files === undefined) return splitFiles(names, { split: split ?? "train", dir }, extensions)
  const matches = picomatch([...files])
  return names.filter((name) => (dir === undefined || name.startsWith(`${dir}/`)) && matches(name))
}

/** In the order of their names; never none. */
export const selectFiles = (
  all: ReadonlyArray<RemoteFile>,
  reference: Reference
): Result.Result<ReadonlyArray<RemoteFile>, HubError> => {
  const { dir, files, repo, split } = reference
  const names = all.map(({ path }) => path)
  const fail = (problem: string, remedy: string) =>
    Result.fail(new HubError({ repo, reason: "selection", problem, remedy }))
  if (repo.startsWith("models/")) {
    if (!names.some(isWeights)) {
      const pickled = names.filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name))
      return fail(
        `has no model.safetensors${pickled.length === 0 ? "" : `, only ${listed(pickled)}, which could run code`}`,
        "its revisions may have one (refs/pr/...), or convert it and use Model.dir"
      )
    }
    return Result.succeed(all.filter(({ path }) => isModelFile(path)))
  }
  const chosen = new Set(datasetFiles(names, reference))
  if (chosen.size === 0) {
    const rows = names.filter((name) => extensions.some((end) => name.endsWith(end)))
    return fail(
      `has no files of ${files === undefined ? `split "${split}"` : files.join(", ")}${
        dir === undefined ? "" : ` under ${dir}`
      }; there is ${listed(rows)}`,
      "name a split or dir that is there, or choose with `files: \"data/*.parquet\"`"
    )
  }
  return Result.succeed(all.filter(({ path }) => chosen.has(path)))
}
