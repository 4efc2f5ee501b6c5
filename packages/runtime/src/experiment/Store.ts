// Results by content: `store/ab/<sha256>`, written beside their place, synced, renamed, then recorded in the ledger.
// Reading trusts a file whose stamp (size, times, inode) is the recorded one, and hashes every other. Blobs are never changed.
import { StoreError } from "@penchant/dsl/Errors"
import { sha256 as digestOf } from "@penchant/dsl/Identity"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { attempt, attemptPromise } from "../platform/problems.ts"
import type { Input, Output } from "../steps/Implementation.ts"
import { blobPath, confined, describe, place, placeAll, type Written } from "./blobs.ts"
import { hashFile, hashSmall, stampOf } from "./content.ts"
import type { Ledger, Rows } from "./Ledger.ts"
import { checkNames, decode, encode, type Manifest, type StoredFile } from "./manifest.ts"

/** A result in the store but not yet in the ledger: `record` belongs in the transaction that commits the step. */
export interface Stored {
  readonly digest: string
  readonly manifest: Manifest
  readonly record: (rows: Rows, now: number) => void
}

export type Condition =
  | { readonly _tag: "Whole"; readonly manifest: Manifest; readonly repaired?: string }
  | { readonly _tag: "Gone"; readonly path: string; readonly problem: string }

export class Store extends Context.Service<Store, {
  /** Writes what is not there yet. Paths in the output must lie inside `scratch`; their files are moved. */
  readonly put: (output: Output, scratch: string) => Effect.Effect<Stored, StoreError>
  /**
   * Whether every byte is there. `stamps`: nothing is written and only changed files are hashed; `bytes`: small files are
   * hashed once per process besides, and a manifest that was damaged is written anew from the ledger.
   */
  readonly check: (digest: string, trust: "stamps" | "bytes") => Effect.Effect<Condition, StoreError>
  /** The files of a result. It must have been checked. */
  readonly open: (digest: string) => Effect.Effect<Input, StoreError>
}>()("@penchant/runtime/Store") {}

interface BlobRow {
  readonly bytes: number
  readonly stamp: string
}

const selectBlob = "SELECT bytes, stamp FROM blob WHERE sha256 = ?"
const upsertBlob = "INSERT OR REPLACE INTO blob (sha256, bytes, stamp) VALUES (?, ?, ?)"
const insertArtifact = "INSERT OR IGNORE INTO artifact (digest, kind, manifest, bytes, made) VALUES (?, ?, ?, ?, ?)"
const selectManifest = "SELECT manifest FROM artifact WHERE digest = ?"

/** Bit rot leaves no trace in a stamp; up to this many bytes, looking is cheaper than wondering. */
const small = 64 * 2 ** 10

export const make = (directory: string, ledger: Ledger["Service"]): Store["Service"] => {
  const looked = new Set<string>()
  const shown = (sha256: string): string => path.relative(path.dirname(directory), blobPath(directory, sha256))

  const row = (sha256: string) => ledger.read((rows) => rows.get<BlobRow>(selectBlob, sha256))

  /** Undefined when the blob is whole, else what is wrong with it. */
  const fault = Effect.fnUntraced(function*(sha256: string, bytes: number, trust: "stamps" | "bytes") {
    const at = blobPath(directory, sha256)
    const found = yield* attempt(at, () => stampOf(at))
    if (found === undefined) return "is missing"
    if (found.bytes !== bytes) return `is corrupted (${found.bytes} bytes instead of ${bytes})`
    const known = yield* row(sha256)
    const trusted = known?.stamp === found.stamp
    if (trusted && (trust === "stamps" || bytes > small || looked.has(sha256))) return undefined
    const actual = yield* attemptPromise(at, () => hashFile(at, bytes))
    if (actual !== sha256) return "is corrupted (its bytes have another sha256)"
    looked.add(sha256)
    if (!trusted) {
      yield* Effect.ignore(ledger.write((rows) => rows.run(upsertBlob, sha256, bytes, found.stamp), "noted"))
    }
    return undefined
  })

  /** The common case, without a fiber's overhead: every file has its recorded stamp. */
  const unchanged = (files: ReadonlyArray<StoredFile>, trust: "stamps" | "bytes") =>
    ledger.read((rows) =>
      files.every(({ bytes, sha256 }) => {
        const at = blobPath(directory, sha256)
        const known = rows.get<BlobRow>(selectBlob, sha256)
        const found = known === undefined ? undefined : stampOf(at)
        if (found === undefined || found.bytes !== bytes || found.stamp !== known!.stamp) return false
        if (trust === "stamps" || bytes > small || looked.has(sha256)) return true
        if (hashSmall(at) !== sha256) return false
        looked.add(sha256)
        return true
      })
    )

  const check: Store["Service"]["check"] = Effect.fnUntraced(function*(digest, trust) {
    const text = yield* ledger.read((rows) => rows.get<{ readonly manifest: string }>(selectManifest, digest)?.manifest)
    if (text === undefined || digestOf(text) !== digest) {
      return { _tag: "Gone", path: shown(digest), problem: "is not in the ledger" }
    }
    const manifest = decode(text)
    const own = { name: "", bytes: Buffer.byteLength(text), sha256: digest }
    if (yield* unchanged([own, ...manifest.files], trust)) return { _tag: "Whole", manifest }
    for (const { bytes, sha256 } of manifest.files) {
      const problem = yield* fault(sha256, bytes, trust)
      if (problem !== undefined) return { _tag: "Gone", path: shown(sha256), problem }
    }
    const problem = yield* fault(digest, own.bytes, trust)
    if (problem === undefined || trust === "stamps") return { _tag: "Whole", manifest }
    const written = yield* attemptPromise(directory, () => place(directory, digest, Buffer.from(text)))
    yield* ledger.write((rows) => rows.run(upsertBlob, digest, own.bytes, written.stamp))
    return { _tag: "Whole", manifest, repaired: `${shown(digest)} ${problem}` }
  })

  const put: Store["Service"]["put"] = Effect.fnUntraced(function*(output, scratch) {
    const names = Object.keys(output.files)
    const problem = checkNames(names)
    if (problem !== undefined) return yield* problem
    const files: Array<StoredFile & { readonly from: Uint8Array | string }> = []
    for (const name of names) {
      const content = output.files[name]!
      if (!(content instanceof Uint8Array)) {
        const outside = yield* attempt(content.path, () => confined(content.path, scratch))
        if (outside !== undefined) return yield* new StoreError({ path: content.path, problem: outside })
      }
      files.push({ name, ...(yield* attemptPromise(directory, () => describe(content))) })
    }
    const encoded = yield* Effect.fromResult(
      encode(output.kind, output.meta, files.map(({ bytes, name, sha256 }) => ({ bytes, name, sha256 })))
    )
    const { digest, manifest, text } = encoded
    const own = { bytes: Buffer.byteLength(text), sha256: digest, from: Buffer.from(text) }
    const missing = new Map<string, Uint8Array | string>()
    const blobs: Array<Written> = []
    for (const { bytes, from, sha256 } of [...files, own]) {
      if (missing.has(sha256) || blobs.some((blob) => blob.sha256 === sha256)) continue
      // What is there and whole stays untouched; what is there and damaged is replaced.
      if ((yield* fault(sha256, bytes, "stamps")) !== undefined) missing.set(sha256, from)
      else blobs.push({ sha256, bytes, stamp: stampOf(blobPath(directory, sha256))!.stamp })
    }
    blobs.push(...yield* attemptPromise(directory, () => placeAll(directory, missing)))
    for (const { sha256 } of blobs) looked.add(sha256)
    const total = blobs.reduce((sum, { bytes }) => sum + bytes, 0)
    return {
      digest,
      manifest,
      record: (rows: Rows, now: number) => {
        for (const { bytes, sha256, stamp } of blobs) rows.run(upsertBlob, sha256, bytes, stamp)
        rows.run(insertArtifact, digest, manifest.kind, text, total, now)
      }
    }
  }, Effect.uninterruptible)

  const open: Store["Service"]["open"] = Effect.fnUntraced(function*(digest) {
    const text = yield* ledger.read((rows) => rows.get<{ readonly manifest: string }>(selectManifest, digest)?.manifest)
    if (text === undefined) return yield* new StoreError({ path: digest, problem: "no result has this digest" })
    const { files, kind, meta } = decode(text)
    return {
      digest,
      kind,
      meta,
      files: Object.fromEntries(files.map(({ name, sha256 }) => [name, blobPath(directory, sha256)]))
    }
  })

  return { put, check, open }
}
