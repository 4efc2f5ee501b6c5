// The text of a file in chunks, gunzipped on the way, so that a large file is never held whole.
import { BadFile } from "@penchant/dsl/Errors"
import { createReadStream } from "node:fs"
import { resolve } from "node:path"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"

/** What the operating system or zlib said, as what it means for the file. */
const problems: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "not readable by this user",
  EPERM: "not readable by this user",
  EISDIR: "is a directory, not a file",
  ENOTDIR: "a part of the path is not a directory",
  Z_BUF_ERROR: "truncated gzip: the data ends before the stream does",
  Z_DATA_ERROR: "corrupt gzip"
}

/** A failure to read `file`, typed. An error without a code came from no system call: it is a bug, and thrown on. */
export const unreadable = (file: string, error: unknown): BadFile => {
  if (error instanceof BadFile) return error
  if (!(error instanceof Error && "code" in error && typeof error.code === "string")) throw error
  const problem = problems[error.code]
  return new BadFile({
    file,
    problem: problem === undefined || error.code === "Z_DATA_ERROR"
      ? `${problem ?? "unreadable"}: ${error.message}`
      : problem,
    ...(error.code === "ENOENT" ? { remedy: `looked for ${resolve(file)}` } : {})
  })
}

const isGzip = (chunk: Uint8Array): boolean => chunk[0] === 0x1f && chunk[1] === 0x8b

/** The bytes as they lie on disk, once it is sure that they are gzip exactly when the name ends in `.gz`. */
async function* stored(file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const named = file.endsWith(".gz")
  let first = true
  for await (const chunk of createReadStream(file, { signal, highWaterMark: 1 << 18 }) as AsyncIterable<Uint8Array>) {
    if (first && named && !isGzip(chunk)) {
      throw new BadFile({ file, problem: "not gzip, although its name ends in .gz" })
    }
    if (first && !named && isGzip(chunk)) {
      throw new BadFile({ file, problem: "gzip, although its name does not end in .gz", remedy: "rename it" })
    }
    first = false
    yield chunk
  }
  if (first && named) throw new BadFile({ file, problem: "truncated gzip: the file is empty" })
}

const gunzipped = (file: string, signal: AbortSignal): AsyncIterable<Uint8Array> => {
  const gunzip = createGunzip()
  // An error on either side destroys `gunzip` with it, so that whoever reads sees it: nothing to do here.
  pipeline(stored(file, signal), gunzip, () => undefined)
  return gunzip
}

/** Throws `BadFile`. A byte order mark is dropped; bytes that are not UTF-8 are an error, never a replacement character. */
export async function* chunksOf(file: string, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
    } catch {
      throw new BadFile({ file, problem: "not UTF-8 text" })
    }
  }
  try {
    for await (const chunk of file.endsWith(".gz") ? gunzipped(file, signal) : stored(file, signal)) yield decode(chunk)
    yield decode()
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** Characters that one string may hold here: half of what the engine allows, so that joining two never throws. */
export const longestText = 2 ** 28

/**
 * Lines without their ends. Only "\n" and "\r\n" end a line: JSON strings may hold U+2028, which line readers split at.
 */
export async function* linesOf(file: string, signal: AbortSignal): AsyncGenerator<ReadonlyArray<string>> {
  // A line that spans many chunks is joined once, when it ends.
  let parts: Array<string> = []
  let length = 0
  for await (const chunk of chunksOf(file, signal)) {
    const end = chunk.lastIndexOf("\n")
    if (end === -1) {
      parts.push(chunk)
      length += chunk.length
      if (length > longestText) throw new BadFile({ file, problem: `a line of more than ${longestText} characters` })
      continue
    }
    const lines = (parts.join("") + chunk.slice(0, end)).split("\n")
    parts = [chunk.slice(end + 1)]
    length = chunk.length - end - 1
    yield lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line))
  }
  const rest = parts.join("")
  if (rest !== "") yield [rest]
}
