// The content of files: sha256, and the stamp that says it cannot have changed since it was hashed.
import { createHash, hash } from "node:crypto"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"

export interface Stamped {
  readonly bytes: number
  /**
   * Size, modification and change time (ns), inode. The change time is the kernel's own: no program can set it back,
   * so `touch -r` and `cp -p` are seen too.
   */
  readonly stamp: string
  /** Changed so recently (ms) that a second change could carry the same times: not to be remembered. */
  readonly young: boolean
}

/** Undefined when nothing is there; throws what else `stat` throws. */
export const stampOf = (path: string): Stamped | undefined => {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile()) return undefined
  return {
    bytes: Number(stat.size),
    stamp: `${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}:${stat.ino}`,
    young: Date.now() - Number(stat.ctimeMs) < 100
  }
}

/** Larger files are hashed piece by piece off the main thread's stack, so that interruption and progress are not held up. */
const small = 4 * 2 ** 20
const piece = 2 ** 20

export const hashSmall = (path: string): string => hash("sha256", fs.readFileSync(path))

const hashLarge = async (path: string): Promise<string> => {
  const running = createHash("sha256")
  const file = await fsp.open(path, "r")
  try {
    const buffer = Buffer.allocUnsafe(piece)
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, piece)
      if (bytesRead === 0) return running.digest("hex")
      running.update(buffer.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}

/** sha256 in hex of a file's bytes. */
export const hashFile = async (path: string, bytes: number): Promise<string> =>
  bytes <= small ? hashSmall(path) : hashLarge(path)
