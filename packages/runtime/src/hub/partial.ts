// A file under way: `<blob>.penchant.incomplete`, written at several places at once, and beside it how far each range has
// come, so that another process goes on where this one was killed. Bytes are written before they are counted; what a power
// failure may still tear is found by the hash.
import * as fs from "node:fs/promises"
import * as path from "node:path"

export interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** Where the next byte goes. */
  at: number
}

export interface Partial {
  readonly path: string
  readonly ranges: ReadonlyArray<Range>
  readonly write: (range: Range, bytes: Uint8Array) => Promise<void>
  /** Forgets what a range holds. */
  readonly rewind: (range: Range) => Promise<void>
  /** Puts the bytes on the disk. */
  readonly sync: () => Promise<void>
  /** The file stays. */
  readonly close: () => Promise<void>
}

export const partialPath = (blob: string): string => `${blob}.penchant.incomplete`
const cursorsPath = (blob: string): string => `${blob}.penchant.cursors`

/** [0] bytes per range, then one cursor per range. */
const readCursors = async (at: string, ranges: ReadonlyArray<Range>, rangeBytes: number): Promise<boolean> => {
  const bytes = await fs.readFile(at).catch(() => new Uint8Array(0))
  if (bytes.length !== 8 * (ranges.length + 1)) return false
  const [written, ...cursors] = new Float64Array(Uint8Array.from(bytes).buffer)
  if (written !== rangeBytes) return false
  if (!ranges.every(({ end, start }, i) => cursors[i]! >= start && cursors[i]! <= end)) return false
  for (const [i, range] of ranges.entries()) range.at = cursors[i]!
  return true
}

/** Opens what is there, or starts anew where it does not fit. The blob's lock must be held. */
export const openPartial = async (blob: string, size: number, rangeBytes: number): Promise<Partial> => {
  const ranges: ReadonlyArray<Range> = Array.from({ length: Math.ceil(size / rangeBytes) }, (_, i) => {
    const start = i * rangeBytes
    return { start, end: Math.min(size, start + rangeBytes), at: start }
  })
  await fs.mkdir(path.dirname(blob), { recursive: true })
  const file = await fs.open(partialPath(blob), "a+").then(async (created) => {
    await created.close()
    return fs.open(partialPath(blob), "r+")
  })
  try {
    const { size: present } = await file.stat()
    const resumed = await readCursors(cursorsPath(blob), ranges, rangeBytes)
    // Cursors that are ahead of their bytes: the bytes are gone.
    for (const range of ranges) if (!resumed || range.at > present) range.at = range.start
    const cursors = await fs.open(cursorsPath(blob), resumed ? "r+" : "w")
    const note = async (index: number, ...values: ReadonlyArray<number>): Promise<void> => {
      const cells = Buffer.from(Float64Array.from(values).buffer)
      await cursors.write(cells, 0, cells.length, 8 * index)
    }
    if (!resumed) await note(0, rangeBytes, ...ranges.map(({ start }) => start))
    const noted = ranges.map(({ at }) => at)
    const moved = async (range: Range): Promise<void> => {
      const index = ranges.indexOf(range)
      if (noted[index] === range.at) return
      noted[index] = range.at
      await note(index + 1, range.at)
    }
    return {
      path: partialPath(blob),
      ranges,
      write: async (range, bytes) => {
        for (let written = 0; written < bytes.length;) {
          const { bytesWritten } = await file.write(bytes, written, bytes.length - written, range.at)
          written += bytesWritten
          range.at += bytesWritten
        }
        // Often enough: a kill loses a 64th of each range at most.
        if (range.at === range.end || range.at - noted[ranges.indexOf(range)]! >= rangeBytes / 64) await moved(range)
      },
      rewind: (range) => {
        range.at = range.start
        return moved(range)
      },
      sync: () => file.sync(),
      close: async () => {
        // Only saves time: where it cannot be written the bytes are fetched again.
        await Promise.all(ranges.map(moved)).catch(() => undefined)
        await cursors.close()
        await file.close()
      }
    }
  } catch (cause) {
    await file.close()
    throw cause
  }
}

export const removePartial = async (blob: string): Promise<void> => {
  await fs.rm(cursorsPath(blob), { force: true })
  await fs.rm(partialPath(blob), { force: true })
}

/** The verified file takes its name. The cursors go first: without them a partial is started anew. */
export const promote = async (blob: string): Promise<void> => {
  await fs.rm(cursorsPath(blob), { force: true })
  await fs.rename(partialPath(blob), blob)
}
