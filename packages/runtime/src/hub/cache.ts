// The cache on disk, as Python's huggingface_hub lays it out, so that either finds what the other fetched:
// {models|datasets}--org--name/ with blobs/<etag>, snapshots/<commit>/<path> (links into blobs) and refs/<branch> (a commit).
import { HubError } from "@penchant/dsl/Errors"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { problemOf } from "../platform/problems.ts"

/** `models/gpt2`, `datasets/Anthropic/hh-rlhf`: what messages call it, and its address in the API. */
export type Repo = `${"models" | "datasets"}/${string}`

const folder = (cache: string, repo: Repo): string => path.join(cache, repo.replaceAll("/", "--"))
export const blobPath = (cache: string, repo: Repo, oid: string): string => path.join(folder(cache, repo), "blobs", oid)
export const snapshotPath = (cache: string, repo: Repo, commit: string, file: string): string =>
  path.join(folder(cache, repo), "snapshots", commit, file)
export const lockPath = (cache: string, repo: Repo, oid: string): string =>
  path.join(cache, ".locks", repo.replaceAll("/", "--"), `${oid}.penchant.lock`)
const refPath = (cache: string, repo: Repo, revision: string): string =>
  path.join(folder(cache, repo), "refs", revision)

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/** A name from the network that is about to become a path. */
export const isSafe = (name: string): boolean =>
  name !== "" && !name.includes("\\") && !name.includes("\0") &&
  name.split("/").every((part) => part !== "" && part !== "." && part !== "..")

/** What the disk says about the cache, as an error; a defect if it is not the disk. */
export const diskError = (repo: string, at: string, cause: unknown): HubError => {
  if (cause instanceof HubError) return cause
  const found = problemOf(cause, at)
  if (found === undefined) throw cause
  const { path: file, problem } = found
  return new HubError({
    repo,
    reason: "disk",
    problem: `${file} ${problem.replace(/;.*/, "")}`,
    remedy: "free some space, or set HF_HOME to a directory that can be written; what was fetched is kept"
  })
}

/** Whole or not at all: `make` writes beside the place, then it is renamed there. */
const placed = async (at: string, make: (beside: string) => Promise<void>): Promise<void> => {
  await fs.mkdir(path.dirname(at), { recursive: true })
  const beside = `${at}.${randomBytes(4).toString("hex")}.incomplete`
  try {
    await make(beside)
    await fs.rename(beside, at)
  } catch (cause) {
    await fs.rm(beside, { force: true })
    throw cause
  }
}

/** Makes the snapshot's name for a blob; where links are not allowed, a copy. Returns it. */
export const link = async (cache: string, repo: Repo, commit: string, file: string, oid: string): Promise<string> => {
  const at = snapshotPath(cache, repo, commit, file)
  const target = path.relative(path.dirname(at), blobPath(cache, repo, oid))
  if (await fs.readlink(at).catch(() => undefined) === target) return at
  await placed(at, (beside) =>
    fs.symlink(target, beside).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EPERM" && cause.code !== "ENOSYS" && cause.code !== "ENOTSUP") throw cause
      return fs.copyFile(blobPath(cache, repo, oid), beside)
    }))
  return at
}

/** The commit that a branch or tag was when it was last asked for. */
export const readRef = (cache: string, repo: Repo, revision: string): Promise<string | undefined> =>
  fs.readFile(refPath(cache, repo, revision), "utf8").then((text) => text.trim(), () => undefined)

export const writeRef = async (cache: string, repo: Repo, revision: string, commit: string): Promise<void> => {
  if (isCommit(revision) || (await readRef(cache, repo, revision)) === commit) return
  await placed(refPath(cache, repo, revision), (beside) => fs.writeFile(beside, commit))
}
