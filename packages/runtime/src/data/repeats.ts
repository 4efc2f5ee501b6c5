// Which texts of a sequence repeat an earlier one, in memory that the number of texts does not move: 128 bits of each go to
// one of 256 partitions by their first byte, full blocks of them to a temporary file, and partitions are resolved one by one.
// Two different texts of a billion share 128 bits with probability 1e-21, so that equal digests are taken for equal texts.
import { StoreError } from "@penchant/dsl/Errors"
import { hash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A text that an earlier one is equal to, both by their number. */
export interface Repeat {
  readonly index: number
  /** The earliest of all equal ones. */
  readonly first: number
}

export interface Repeats {
  /** Indices must rise. Throws `StoreError`. */
  readonly add: (index: number, text: string) => void
  /** All that repeat, by index. Nothing can be added afterwards. Throws `StoreError`. */
  readonly finish: () => ReadonlyArray<Repeat>
  /** Gives the temporary file back; a process that dies has none that anybody could find. */
  readonly close: () => void
}

const partitions = 256
/** Bytes of a digest, and of a digest with its index as a double. */
const digestBytes = 16
const entryBytes = digestBytes + 8
/** 170 entries: as much as fits in 4 KiB. 256 blocks of them, 1 MiB, hold the first 40,000 texts without a file. */
const blockBytes = 170 * entryBytes
/** Blocks that are written at once. */
const stride = 64

interface Partition {
  block: Buffer
  used: number
  /** Blocks of the file that are its own, in the order they were written. */
  readonly written: Array<number>
}

/** A file without a name, where the system allows it: open, and removed. */
const unnamed = (): { readonly file: number; readonly remove: () => void } => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-repeats-"))
  const file = fs.openSync(path.join(folder, "digests"), "wx+", 0o600)
  const remove = () => fs.rmSync(folder, { recursive: true, force: true })
  try {
    remove()
    return { file, remove: () => undefined }
  } catch {
    return { file, remove }
  }
}

const same = (bytes: Buffer, a: number, b: number): boolean => {
  for (let at = 0; at < digestBytes; at += 4) if (bytes.readInt32LE(a + at) !== bytes.readInt32LE(b + at)) return false
  return true
}

/** Open addressing over the places of entries; `table` has more than twice as many slots, a power of two. */
const resolve = (bytes: Buffer, length: number, table: Int32Array, found: Array<Repeat>): void => {
  table.fill(-1)
  const mask = table.length - 1
  for (let at = 0; at < length; at += entryBytes) {
    // The first byte is that of the partition.
    let slot = bytes.readUInt32LE(at + 4) & mask
    while (table[slot] !== -1 && !same(bytes, table[slot]!, at)) slot = (slot + 1) & mask
    const first = table[slot]!
    if (first === -1) table[slot] = at
    else found.push({ index: bytes.readDoubleLE(at + digestBytes), first: bytes.readDoubleLE(first + digestBytes) })
  }
}

export const repeats = (): Repeats => {
  const parts = Array.from({ length: partitions }, (): Partition => ({ block: Buffer.alloc(0), used: 0, written: [] }))
  let spilled: ReturnType<typeof unnamed> | undefined
  let blocks = 0
  let unwritten = Buffer.alloc(0)
  const onDisk = <A>(run: () => A): A => {
    try {
      return run()
    } catch (cause) {
      throw new StoreError({ path: os.tmpdir(), problem: `looking for repeats: ${(cause as Error).message}` })
    }
  }
  /** Writes the blocks that wait. */
  const flush = (): void => {
    const waiting = ((blocks - 1) % stride) + 1
    if (blocks === 0) return
    onDisk(() => {
      spilled ??= unnamed()
      const [start, length] = [(blocks - waiting) * blockBytes, waiting * blockBytes]
      for (let at = 0; at < length;) at += fs.writeSync(spilled.file, unwritten, at, length - at, start + at)
    })
  }
  const spill = (part: Partition): void => {
    if (unwritten.length === 0) unwritten = Buffer.allocUnsafeSlow(stride * blockBytes)
    part.block.copy(unwritten, (blocks % stride) * blockBytes)
    part.written.push(blocks++)
    part.used = 0
    if (blocks % stride === 0) flush()
  }
  const lengthOf = ({ used, written }: Partition): number => written.length * blockBytes + used
  /** The entries of a partition, in the order they came, into `bytes`. */
  const read = ({ block, used, written }: Partition, bytes: Buffer): void => {
    for (const [at, number] of written.entries()) {
      const length = onDisk(() => fs.readSync(spilled!.file, bytes, at * blockBytes, blockBytes, number * blockBytes))
      if (length < blockBytes) throw new StoreError({ path: os.tmpdir(), problem: "the list of digests was cut" })
    }
    block.copy(bytes, written.length * blockBytes, 0, used)
  }
  return {
    add: (index, text) => {
      // A string costs the collector less than a buffer.
      const digest = hash("sha256", text, "binary")
      const part = parts[digest.charCodeAt(0)]!
      if (part.block.length === 0) part.block = Buffer.allocUnsafeSlow(blockBytes)
      part.block.write(digest, part.used, digestBytes, "latin1")
      part.block.writeDoubleLE(index, part.used + digestBytes)
      part.used += entryBytes
      if (part.used === blockBytes) spill(part)
    },
    finish: () => {
      const found: Array<Repeat> = []
      flush()
      // One buffer and one table for all: what is thrown away outside of the heap is collected late.
      const longest = Math.max(...parts.map(lengthOf))
      const bytes = Buffer.allocUnsafeSlow(longest)
      const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * longest / entryBytes + 2)))
      for (const part of parts) {
        read(part, bytes)
        resolve(bytes, lengthOf(part), table, found)
      }
      return found.toSorted((a, b) => a.index - b.index)
    },
    close: () => {
      if (spilled === undefined) return
      fs.closeSync(spilled.file)
      spilled.remove()
      spilled = undefined
    }
  }
}
