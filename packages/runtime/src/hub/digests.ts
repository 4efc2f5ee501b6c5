// What a file's bytes are called: by sha256 (large files of the Hub, and every file in a lock), by git's sha1 (small files).
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import * as fs from "node:fs/promises"

export interface Digests {
  readonly size: number
  readonly sha256: string
  /** sha1 of `blob <size>\0` and the bytes, where it was asked for. */
  readonly git: string | undefined
}

/** 64 hex digits are a sha256, 40 a git sha1. */
export const isGit = (oid: string): boolean => oid.length === 40

/** What says whether a file is `oid`, and its sha256 in any case. Throws what the file system throws. */
export const digestsOf = async (path: string, oid: string, signal: AbortSignal): Promise<Digests> => {
  const { size } = await fs.stat(path)
  const sha256 = createHash("sha256")
  const git = isGit(oid) ? createHash("sha1").update(`blob ${size}\0`) : undefined
  const highWaterMark = Math.min(2 ** 20, size + 1)
  for await (const chunk of createReadStream(path, { signal, highWaterMark }) as AsyncIterable<Buffer>) {
    sha256.update(chunk)
    git?.update(chunk)
  }
  return { size, sha256: sha256.digest("hex"), git: git?.digest("hex") }
}

/** Whether they are those of the file that was asked for. */
export const isOf = (digests: Digests, { oid, size }: { readonly oid: string; readonly size: number }): boolean =>
  digests.size === size && (isGit(oid) ? digests.git : digests.sha256) === oid
