// Files of the store as the disk sees them: where they lie, and how one comes to be there, whole or not at all.
import { hash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as path from "node:path"
import { hashFile, stampOf } from "./content.ts"

export const blobPath = (directory: string, sha256: string): string => path.join(directory, sha256.slice(0, 2), sha256)

/** The mark of a file that is still being written; `sweep` removes those that a crash left. */
export const unfinished = ".writing-"

export interface Written {
  readonly sha256: string
  readonly bytes: number
  readonly stamp: string
}

/** Why a file may not be moved into the store; undefined when it may. Symbolic links are resolved first. */
export const confined = (at: string, scratch: string): string | undefined => {
  const stat = fs.lstatSync(at)
  const relative = path.relative(fs.realpathSync(scratch), fs.realpathSync(at))
  if (relative === "" || relative.startsWith("..") || path.isAbsolute(relative)) {
    return "lies outside the step's scratch directory"
  }
  return stat.isFile() ? undefined : "is no regular file"
}

/** Size and sha256 of bytes or of a file. */
export const describe = async (content: Uint8Array | { readonly path: string }) => {
  if (content instanceof Uint8Array) {
    return { bytes: content.byteLength, sha256: hash("sha256", content), from: content }
  }
  const { size } = await fsp.stat(content.path)
  return { bytes: size, sha256: await hashFile(content.path, size), from: content.path }
}

/** Not every system lets a directory be synced; where it does, a rename is lost without it when the power fails. */
const syncDirectory = async (at: string): Promise<void> => {
  if (process.platform === "win32") return
  const handle = await fsp.open(at, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const write = async (at: string, bytes: Uint8Array): Promise<void> => {
  const file = await fsp.open(at, "wx")
  try {
    await file.writeFile(bytes)
    await file.chmod(0o444)
    await file.sync()
  } finally {
    await file.close()
  }
}

const settle = async (at: string): Promise<void> => {
  const file = await fsp.open(at, "r+")
  try {
    await file.chmod(0o444)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Puts bytes, or moves a file of the same file system, to its place: written, synced, renamed, directory synced. */
export const place = async (directory: string, sha256: string, from: Uint8Array | string): Promise<Written> => {
  const target = blobPath(directory, sha256)
  const folder = path.dirname(target)
  if ((await fsp.mkdir(folder, { recursive: true })) !== undefined) await syncDirectory(directory)
  if (typeof from === "string") {
    await settle(from)
    await fsp.rename(from, target)
  } else {
    const beside = path.join(folder, `${unfinished}${process.pid}-${randomBytes(6).toString("hex")}`)
    try {
      await write(beside, from)
      await fsp.rename(beside, target)
    } catch (cause) {
      await fsp.rm(beside, { force: true })
      throw cause
    }
  }
  await syncDirectory(folder)
  const { bytes, stamp } = stampOf(target)!
  return { sha256, bytes, stamp }
}

/** Many at once, so that the disk syncs them together. Nothing is still under way when it returns or throws. */
export const placeAll = async (
  directory: string,
  blobs: ReadonlyMap<string, Uint8Array | string>
): Promise<ReadonlyArray<Written>> => {
  const outcomes = await Promise.allSettled([...blobs].map(([sha256, from]) => place(directory, sha256, from)))
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason
    return outcome.value
  })
}
