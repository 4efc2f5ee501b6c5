// The files that weights lie in, read by their headers first: where each tensor is, of what type and shape.
// Leaves out what the tensors are for (load.ts), and pickled weights, which can run code when opened.
import { BadFile } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { existsSync, readdirSync } from "node:fs"
import { type FileHandle, open, readFile } from "node:fs/promises"
import * as path from "node:path"
import { decodeHeader, type Entry } from "../data/safetensors.ts"
import { adapterFiles } from "./files.ts"

/** Where one tensor lies. */
export interface Place {
  readonly file: string
  readonly handle: FileHandle
  /** Bytes before the first tensor of the file. */
  readonly header: number
  readonly entry: Entry
}

export const reading = <A>(file: string, read: () => Promise<A>): Effect.Effect<A, BadFile> =>
  Effect.tryPromise({
    try: read,
    catch: (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT"
      return new BadFile({ file, problem: missing ? "no such file" : `cannot be read: ${(error as Error).message}` })
    }
  })

export const readJson = Effect.fnUntraced(function*(file: string) {
  const text = yield* reading(file, () => readFile(file, "utf8"))
  return yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => new BadFile({ file, problem: `not JSON: ${(error as Error).message}` })
  })
})

const Index = Schema.Struct({ weight_map: Schema.Record(Schema.String, Schema.String) })

/** What a folder without weights to read has in their place, and what to do about it. */
const remedyFor = (dir: string): string => {
  const pickled = readdirSync(dir).find((name) => /^pytorch_model.*\.bin(\.index\.json)?$/.test(name))
  return pickled === undefined
    ? "a model folder holds its weights there"
    : `${pickled} is not read, since it can run code: load it with transformers once and save_pretrained writes safetensors`
}

/** The files that hold the weights: one, or the shards that an index names. */
export const weightFiles = Effect.fnUntraced(function*(dir: string) {
  const single = path.join(dir, "model.safetensors")
  const index = path.join(dir, "model.safetensors.index.json")
  if (existsSync(single)) return [single]
  if (!existsSync(index)) {
    return yield* new BadFile({ file: single, problem: "no such file", remedy: remedyFor(dir) })
  }
  const json = yield* readJson(index)
  const { weight_map } = yield* Schema.decodeUnknownEffect(Index)(json).pipe(
    Effect.mapError((error) => new BadFile({ file: index, problem: error.message }))
  )
  return [...new Set(Object.values(weight_map))].toSorted().map((name) => path.join(dir, path.basename(name)))
})

/** The parsed config.json of a model's folder. */
export const readConfig = Effect.fnUntraced(function*(dir: string) {
  const file = path.join(dir, "config.json")
  if (!existsSync(file) && existsSync(path.join(dir, adapterFiles.config))) {
    return yield* new BadFile({
      file: path.join(dir, adapterFiles.config),
      problem: "makes this an adapter, without the weights that it stands beside",
      remedy: "merge it (PEFT's merge_and_unload and save_pretrained), or export the training without --adapter"
    })
  }
  return yield* readJson(file)
})

/** Reads [begin, end) of a file into `to`, in pieces: one read takes at most 2 GiB. */
export const fill = async (handle: FileHandle, begin: number, to: Uint8Array): Promise<void> => {
  for (let at = 0; at < to.length;) {
    const { bytesRead } = await handle.read(to, at, Math.min(to.length - at, 2 ** 28), begin + at)
    if (bytesRead === 0) throw new Error("the file ended while it was read")
    at += bytesRead
  }
}

/** The tensors of a file, open until the scope ends. */
export const openHeader: (
  file: string
) => Effect.Effect<ReadonlyArray<readonly [string, Place]>, BadFile, Scope.Scope> = Effect.fnUntraced(function*(file) {
  const handle = yield* Effect.acquireRelease(
    reading(file, () => open(file)),
    (opened) => Effect.promise(() => opened.close())
  )
  const start = yield* reading(file, async () => {
    const { size } = await handle.stat()
    const first = new Uint8Array(Math.min(8, size))
    await fill(handle, 0, first)
    // A length field beyond the file is for decodeHeader to refuse.
    const declared = first.length < 8 ? 0 : Number(new DataView(first.buffer).getBigUint64(0, true))
    const bytes = new Uint8Array(declared <= size - 8 ? 8 + declared : first.length)
    await fill(handle, 0, bytes)
    return { bytes, size }
  })
  const header = yield* Effect.fromResult(decodeHeader(start.bytes, start.size, file))
  return Object.entries(header.entries).map(([name, entry]) =>
    [name, { file, handle, header: header.length, entry }] as const
  )
})
