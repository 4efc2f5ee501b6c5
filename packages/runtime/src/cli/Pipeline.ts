// Loads a pipeline file: type-checks it when it or what it imports changed, imports it, and finds what it exports.
import type { Kind } from "@penchant/dsl/Artifact"
import { digest, sha256 } from "@penchant/dsl/Identity"
import { type Executor, isStep } from "@penchant/dsl/Step"
import { type Comparison, isComparison, isStudy, type Study } from "@penchant/dsl/Study"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { above, moduleCode } from "../experiment/code.ts"
import { Experiment } from "../experiment/Experiment.ts"
import type { Target } from "../experiment/graph.ts"
import { CurrentHome } from "../experiment/Home.ts"
import type { Ledger } from "../experiment/Ledger.ts"

/** The pipeline file cannot be used: it is missing, does not type-check, throws, or exports nothing that runs. */
export class BadPipeline extends Schema.TaggedError<BadPipeline>()("BadPipeline", {
  file: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.problem}`
  }
}

export interface Pipeline {
  readonly file: string
  readonly targets: ReadonlyArray<Target>
  readonly studies: ReadonlyArray<Study<object, Kind, unknown>>
  readonly comparisons: ReadonlyArray<Comparison>
  /** A default export that is an Effect but no step: it is known as it runs. */
  readonly dynamic: Effect.Effect<unknown, unknown, Executor> | undefined
}

/** What a passed type-check stands for: the module with what it imports and its lockfile, the settings, penchant's own code. */
const checkKey = Effect.fnUntraced(function*(file: string, ledger: Ledger["Service"]) {
  const settings = above(path.dirname(file), "tsconfig.json")
  return digest({
    module: (yield* moduleCode(ledger, pathToFileURL(file).href)).digest,
    settings: settings === undefined ? "" : sha256(fs.readFileSync(settings)),
    code: (yield* Experiment.use(({ code }) => code)).digest
  })
})

const compilerOptions = {
  target: "esnext",
  // a pipeline alone in a folder, without package.json, is a module all the same
  module: "preserve",
  moduleDetection: "force",
  lib: ["esnext"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  erasableSyntaxOnly: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true
}

/** The project lies in the state directory, so the types that the pipeline's own folder sees are named. */
const typesOf = (from: string): string | undefined => {
  const node = above(from, path.join("node_modules", "@types", "node"))
  return node === undefined ? undefined : path.dirname(node)
}

/** Runs the compiler on the pipeline file and what it reaches. Fails with its diagnostics. */
export const typeCheck = Effect.fn("typeCheck")(function*(file: string, scratch: string) {
  const compiler = createRequire(import.meta.url).resolve("typescript/package.json")
  const settings = above(path.dirname(file), "tsconfig.json")
  const project = path.join(scratch, `tsconfig.${process.pid}.json`)
  yield* Effect.acquireUseRelease(
    Effect.sync(() => {
      fs.mkdirSync(scratch, { recursive: true })
      const types = typesOf(path.dirname(file))
      const typeRoots = types === undefined ? [] : [types]
      const own = { ...compilerOptions, types: types === undefined ? [] : ["node"], typeRoots }
      fs.writeFileSync(
        project,
        JSON.stringify({
          ...(settings === undefined
            ? { compilerOptions: own }
            : { extends: settings, compilerOptions: { typeRoots } }),
          files: [file],
          include: []
        })
      )
    }),
    () =>
      Effect.callback<void, BadPipeline>((resume) => {
        const child = spawn(
          process.execPath,
          [path.join(path.dirname(compiler), "bin", "tsc"), "--noEmit", "--pretty", "false", "-p", project],
          { cwd: path.dirname(file), stdio: ["ignore", "pipe", "pipe"] }
        )
        const output: Array<Buffer> = []
        child.stdout.on("data", (chunk: Buffer) => output.push(chunk))
        child.stderr.on("data", (chunk: Buffer) => output.push(chunk))
        child.on("error", (cause) =>
          resume(Effect.fail(new BadPipeline({ file, problem: `the type checker did not start: ${cause.message}` }))))
        child.on("close", (code) => {
          const diagnostics = Buffer.concat(output).toString("utf8").trim().split(/\n(?=\S)/)
          const more = diagnostics.length > 5 ? [`... and ${diagnostics.length - 5} more`] : []
          const problem = ["does not type-check", ...diagnostics.slice(0, 5), ...more].join("\n")
          resume(code === 0 ? Effect.void : Effect.fail(new BadPipeline({ file, problem })))
        })
        return Effect.sync(() =>
          void child.kill()
        )
      }),
    () => Effect.sync(() => fs.rmSync(project, { force: true }))
  )
})

/** The label of a default export: the file's name. */
const exportName = (file: string, name: string): string => (name === "default" ? path.parse(file).name : name)

/** Steps, studies and comparisons among the exports of a module. Fails when there is nothing to run, or two share a label. */
export const fromExports = Effect.fnUntraced(function*(file: string, exports: Readonly<Record<string, unknown>>) {
  const targets: Array<Target> = []
  const studies: Array<Study<object, Kind, unknown>> = []
  const comparisons: Array<Comparison> = []
  let dynamic: Pipeline["dynamic"]
  for (const [name, value] of Object.entries(exports)) {
    if (isStep(value)) targets.push({ label: exportName(file, name), step: value })
    else if (isStudy(value)) {
      studies.push(value)
      for (const { label, step } of value.points) targets.push({ label: `${value.name}/${label}`, step })
    } else if (isComparison(value)) comparisons.push(value)
    else if (name === "default" && Effect.isEffect(value)) dynamic = value as NonNullable<Pipeline["dynamic"]>
  }
  if (targets.length === 0 && dynamic === undefined) {
    return yield* new BadPipeline({ file, problem: "exports no step, no study and no default Effect; nothing to run" })
  }
  const labels = new Set<string>()
  for (const { label } of targets) {
    if (labels.has(label)) {
      return yield* new BadPipeline({
        file,
        problem: `two results are called "${label}": name an axis or a study apart`
      })
    }
    labels.add(label)
  }
  return { file, targets, studies, comparisons, dynamic } satisfies Pipeline as Pipeline
})

const importFile = (file: string): Effect.Effect<Record<string, unknown>, BadPipeline> =>
  Effect.tryPromise({
    try: () => import(pathToFileURL(file).href) as Promise<Record<string, unknown>>,
    catch: (cause) =>
      new BadPipeline({ file, problem: `cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

/** Type-checks the file unless exactly this was checked before, imports it, and reads its exports. */
export const load = Effect.fn("load")(function*(path_: string) {
  const file = path.resolve(path_)
  if (!fs.existsSync(file)) return yield* new BadPipeline({ file: path_, problem: "no such file" })
  const { directory, ledger } = yield* CurrentHome
  const key = yield* checkKey(file, ledger)
  const passed = yield* ledger.read((rows) => rows.get("SELECT 1 FROM typecheck WHERE key = ?", key))
  if (passed === undefined) {
    yield* typeCheck(file, directory)
    const now = yield* Clock.currentTimeMillis
    yield* ledger.write((rows) =>
      rows.run("INSERT OR REPLACE INTO typecheck (key, file, at) VALUES (?, ?, ?)", key, file, now)
    )
  }
  return yield* fromExports(file, yield* importFile(file))
})

/** The targets whose label, study or step is asked for. */
export const select = Effect.fnUntraced(function*(pipeline: Pipeline, only: ReadonlyArray<string>) {
  if (only.length === 0) return pipeline.targets
  const targets: Array<Target> = []
  for (const name of only) {
    const found = pipeline.targets.filter(({ label }) => label === name || label.startsWith(`${name}/`))
    if (found.length === 0) {
      const known = pipeline.targets.slice(0, 12).map(({ label }) => label).join(", ")
      return yield* new BadPipeline({ file: pipeline.file, problem: `nothing is called "${name}"; there is: ${known}` })
    }
    targets.push(...found)
  }
  return targets
})
