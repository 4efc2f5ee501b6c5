// How implementations read their inputs and name what they leave.
import { BadFile, StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { TokenGroups } from "../compute/Batch.ts"
import { completionTokens, decodeLogProbs, decodeTokens } from "../data/tokensFile.ts"
import type { Results } from "../evaluation/tasks/results.ts"
import type { Input, Job } from "./Implementation.ts"
import { linkFiles } from "./links.ts"

/** The input of that name; the words of the language put it there, so its absence is a defect. */
export const inputOf = (job: Job, name: string): Input => {
  const input = job.inputs[name]
  if (input === undefined) throw new Error(`${job.label}: step "${job.step.kind}" has no input "${name}"`)
  return input
}

/** Where one file of an input lies. */
export const fileOf = (input: Input, file: string): string => {
  const at = input.files[file]
  if (at === undefined) throw new Error(`artifact ${input.digest} (${input.kind}) has no file "${file}"`)
  return at
}

export const readInput = (input: Input, file: string): Effect.Effect<Uint8Array, BadFile> => {
  const at = fileOf(input, file)
  return Effect.tryPromise({
    try: () => fs.readFile(at),
    catch: (error) => new BadFile({ file: at, problem: error instanceof Error ? error.message : String(error) })
  })
}

export const inScratch = <A>(at: string, run: () => Promise<A>): Effect.Effect<A, StoreError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => new StoreError({ path: at, problem: error instanceof Error ? error.message : String(error) })
  })

/** A folder in scratch whose files are links to those of the input. */
export const folderOf = (job: Job, name: string): Effect.Effect<string, StoreError> => {
  const input = inputOf(job, name)
  const folder = path.join(job.scratch, "inputs", name)
  return inScratch(folder, async () => {
    await fs.rm(folder, { recursive: true, force: true })
    linkFiles(folder, input.files)
    return folder
  })
}

/** Every file of a folder in scratch, as an output names them. */
export const filesIn = (folder: string): Effect.Effect<Record<string, { readonly path: string }>, StoreError> =>
  inScratch(folder, async () => {
    const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true })
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
    return Object.fromEntries(
      paths.toSorted().map((at) => [path.relative(folder, at).split(path.sep).join("/"), { path: at }])
    )
  })

/** An empty folder in scratch. */
export const emptyFolder = (job: Job, name: string): Effect.Effect<string, StoreError> => {
  const folder = path.join(job.scratch, name)
  return inScratch(folder, async () => {
    await fs.rm(folder, { recursive: true, force: true })
    await fs.mkdir(folder, { recursive: true })
    return folder
  })
}

/** What a benchmark wrote under lm-eval's names; undefined for scores of other kinds. */
export const resultsIn = (input: Input): Effect.Effect<Results | undefined, BadFile> =>
  input.files["results.json"] === undefined
    ? Effect.undefined
    : Effect.map(readInput(input, "results.json"), (bytes) => JSON.parse(new TextDecoder().decode(bytes)) as Results)

export const json = (value: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)

export const lines = (values: ReadonlyArray<unknown>): Uint8Array =>
  new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}\n`).join(""))

/** What the language wrote into the step; a mismatch is a defect, since both come from one version of the code. */
export const parametersOf = <A>(job: Job, schema: Schema.Codec<A, any>): A =>
  Schema.decodeUnknownSync(schema)(job.step.parameters)

/** What an implementation wrote beside its files; a mismatch is a defect for the same reason. */
export const metaOf = <A>(input: Input, schema: Schema.Codec<A, any>): A => Schema.decodeUnknownSync(schema)(input.meta)

/** The groups of a `Tokens` artifact. */
export const groupsOf = Effect.fnUntraced(function*(input: Input): Effect.fn.Return<TokenGroups, BadFile> {
  const [tokens, ids] = yield* Effect.all([readInput(input, "tokens.safetensors"), readInput(input, "ids.json")])
  return yield* Effect.fromResult(
    decodeTokens({ "tokens.safetensors": tokens, "ids.json": ids }, fileOf(input, "tokens.safetensors"))
  )
})

/** The groups of a `Tokens` input. */
export const tokensOf = (job: Job, name: string): Effect.Effect<TokenGroups, BadFile> => groupsOf(inputOf(job, name))

/** The log-probabilities of a `LogProbs` input over `data`. */
export const logProbsOf = Effect.fnUntraced(
  function*(job: Job, name: string, data: TokenGroups): Effect.fn.Return<Float64Array, BadFile> {
    const input = inputOf(job, name)
    const bytes = yield* readInput(input, "logprobs.safetensors")
    return yield* Effect.fromResult(
      decodeLogProbs(bytes, completionTokens(data), fileOf(input, "logprobs.safetensors"))
    )
  }
)
