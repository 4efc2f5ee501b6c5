// Where rows come from: a file, values in the pipeline, the Hugging Face Hub.
import * as Schema from "effect/Schema"
import type { Rows } from "./Artifact.ts"
import type { DataError, HubError } from "./Errors.ts"
import { formatReference } from "./Reference.ts"
import type { TldrRow, UltraFeedbackRow } from "./Row.ts"
import { make, type Step } from "./Step.ts"

/** A row of Anthropic's HH-RLHF: two whole conversations that share everything up to the last answer. */
export interface HhRow {
  readonly chosen: string
  readonly rejected: string
}
export const HhRow: Schema.Codec<HhRow> = Schema.Struct({ chosen: Schema.String, rejected: Schema.String })

/** A row with the prompt apart. Text, or chat messages. */
export interface PlainRow {
  readonly prompt: string
  readonly chosen: string
  readonly rejected: string
}
export const PlainRow: Schema.Codec<PlainRow> = Schema.Struct({
  prompt: Schema.String,
  chosen: Schema.String,
  rejected: Schema.String
})

/** Hub ids whose rows are known; a user's module may augment it. */
export interface KnownDatasets {
  readonly "Anthropic/hh-rlhf": HhRow
  readonly "HuggingFaceH4/ultrafeedback_binarized": UltraFeedbackRow
  readonly "trl-lib/ultrafeedback_binarized": UltraFeedbackRow
  readonly "openai/summarize_from_feedback": TldrRow
  readonly "trl-lib/tldr-preference": PlainRow
  readonly "CarperAI/openai_summarize_comparisons": PlainRow
}

/** What identifies a row schema: its JSON Schema document. */
const schemaIdentity = (row: Schema.Top): unknown => JSON.parse(JSON.stringify(Schema.toJsonSchemaDocument(row)))

/**
 * JSONL, JSON or CSV, plain or gzipped, or Parquet; every row is checked against the schema, and columns that it does not
 * name are not read where the format allows. Paths are relative to the working directory.
 */
const file = <R>(path: string, row: Schema.Codec<R, any>): Step<Rows<R>, DataError> =>
  make({
    kind: "rows",
    title: `read ${path.split("/").at(-1)}`,
    parameters: { from: "file", row: schemaIdentity(row) },
    sources: { file: path },
    attached: { row }
  })

/**
 * A split of a folder laid out as a data set of the Hub: the files called after it, shards in order, under `dir` when it
 * is given. Ids of rows count through all files.
 */
const folder = <R>(
  path: string,
  row: Schema.Codec<R, any>,
  options: { readonly split: string; readonly dir?: string }
): Step<Rows<R>, DataError> =>
  make({
    kind: "rows",
    title: `read ${options.split} of ${path.split("/").at(-1)}`,
    parameters: { from: "folder", row: schemaIdentity(row), ...options },
    sources: { folder: path },
    attached: { row }
  })

/** Rows written in the pipeline itself; they are identity. */
const inline = <const R extends object>(rows: ReadonlyArray<R>): Step<Rows<R>, DataError> =>
  make({ kind: "rows", title: `${rows.length} inline rows`, parameters: { from: "inline", rows } })

/**
 * Which files: those that the data set's README lists for the split of a config (of its default one when none is named);
 * without such a list, those called after the split; or those under `dir` that are called so; or those of `files`.
 */
export type HubDataset =
  & {
    readonly split: string
    /** A branch, a tag or a commit; default `main`. */
    readonly revision?: string
  }
  & (
    | {
      /** One of those that the README lists; what `datasets` calls `name`. */
      readonly config: string
      readonly dir?: never
      readonly files?: never
    }
    | {
      readonly config?: never
      /** Only under this folder of the repository. */
      readonly dir?: string
      /** Glob patterns in place of the split's name, such as `data/*.parquet`. */
      readonly files?: string | ReadonlyArray<string>
    }
  )

interface Hub {
  /** Every row is checked against the schema, and other columns are not read where the format allows. */
  <R>(id: string, options: HubDataset & { readonly row: Schema.Codec<R, any> }): Step<Rows<R>, HubError | DataError>
  <const S extends string>(
    id: S,
    options: HubDataset
  ): Step<Rows<S extends keyof KnownDatasets ? KnownDatasets[S] : unknown>, HubError | DataError>
}

/**
 * A split of a data set of the Hugging Face Hub. The commit and the hashes of the files are in
 * `penchant.lock`, which `penchant lock` writes; content is identity, not the revision's name.
 */
const hub: Hub = <R>(
  id: string,
  { config, dir, files, revision = "main", row, split }: HubDataset & { readonly row?: Schema.Codec<R, any> }
): Step<Rows<R>, HubError | DataError> =>
  make({
    kind: "rows",
    title: ["fetch", id, config, dir, split].filter((part) => part !== undefined).join(" "),
    parameters: { from: "hub", ...(row === undefined ? {} : { row: schemaIdentity(row) }) },
    sources: {
      hub: formatReference({
        repo: `datasets/${id}`,
        revision,
        config,
        dir,
        split,
        files: typeof files === "string" ? [files] : files
      })
    },
    ...(row === undefined ? {} : { attached: { row } })
  })

export const Dataset = { file, folder, inline, hub }
