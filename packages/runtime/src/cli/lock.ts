// `penchant lock FILE`: writes into `penchant.lock` what every reference of the file to the Hub is now.
import { isReference } from "@penchant/dsl/Reference"
import { type AnyStep, Executor } from "@penchant/dsl/Step"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { stepsOf } from "../experiment/graph.ts"
import { CurrentHub } from "../hub/Hub.ts"
import { type LockedFile, lockFileName, readLock, writeLock } from "../hub/LockFile.ts"
import { lockReference } from "../hub/lockReference.ts"
import * as Bars from "../platform/Bars.ts"
import { bytes } from "../platform/bytes.ts"
import { forFile, pipelineShown } from "../platform/PipelineFile.ts"
import { layer } from "../Runtime.ts"
import { json, print, printJson, table } from "./output.ts"
import { BadPipeline, load, type Pipeline } from "./Pipeline.ts"
import { file, home } from "./settings.ts"

interface Locked {
  readonly reference: string
  readonly commit: string
  readonly files: ReadonlyArray<LockedFile>
  readonly change: string
}

const changeOf = (before: ReadonlyArray<LockedFile>, now: ReadonlyArray<LockedFile>): string => {
  if (before.length === 0) return "new"
  const known = new Map(before.map(({ file, sha256 }) => [file, sha256]))
  const [from, to] = [before[0]!.commit.slice(0, 8), now[0]!.commit.slice(0, 8)]
  const changed = now.filter(({ file, sha256 }) => known.get(file) !== sha256).length
  const gone = before.filter(({ file }) => !now.some((other) => other.file === file)).length
  if (changed + gone === 0) return from === to ? "unchanged" : `moved from ${from}, same files`
  return `moved from ${from}: ${changed} files are new or changed${gone === 0 ? "" : `, ${gone} gone`}`
}

/** What some steps and those that they need name on the Hub. */
const referencesOf = (steps: ReadonlyArray<AnyStep>): ReadonlyArray<string> =>
  [...new Set(stepsOf(steps).flatMap(({ sources }) => Object.values(sources).filter(isReference)))].toSorted()

/** Asks for every reference and writes the lock once all are known: a failure leaves it as it was. */
const lockReferences = Effect.fn("lockReferences")(function*(references: ReadonlyArray<string>) {
  const directory = process.cwd()
  const hub = yield* CurrentHub
  const file = yield* pipelineShown
  const before = yield* Effect.fromResult(readLock(directory, file))
  const locked = yield* Effect.forEach(
    references,
    Effect.fnUntraced(function*(reference) {
      const files = yield* lockReference(hub, reference)
      const change = changeOf(before.filter((file) => file.reference === reference), files)
      return { reference, commit: files[0]!.commit, files, change } satisfies Locked as Locked
    })
  )
  if (locked.length > 0) {
    yield* Effect.fromResult(writeLock(directory, references, locked.flatMap(({ files }) => files), file))
  }
  return locked
})

/** Whether what the pipeline names is known only as it runs. */
const isProgram = ({ dynamic, targets }: Pipeline): boolean => targets.length === 0 && dynamic !== undefined

export const lockPipeline = Effect.fn("lockPipeline")(function*(pipeline: Pipeline) {
  if (isProgram(pipeline)) {
    const file = yield* pipelineShown
    return yield* new BadPipeline({
      file: pipeline.file,
      problem: "its default export is a program: what it names on the Hub is known only as it runs "
        + `(run \`penchant run ${file} --lock\`, which locks each reference when the program comes to it)`
    })
  }
  return yield* lockReferences(referencesOf(pipeline.targets.map(({ step }) => step)))
})

/** Locks what a step names before it runs it, each reference once: for programs. */
export const lockingExecutor = Effect.fnUntraced(function*(report: (locked: ReadonlyArray<Locked>) => void) {
  const executor = yield* Executor
  const context = yield* Effect.context()
  const known = new Set<string>()
  const one = Semaphore.makeUnsafe(1)
  const lockNew = (step: AnyStep) =>
    one.withPermit(Effect.gen(function*() {
      const references = referencesOf([step]).filter((reference) => !known.has(reference))
      if (references.length === 0) return
      report(yield* lockReferences(references))
      for (const reference of references) known.add(reference)
    })).pipe(Effect.provide(context))
  const run = ((step) => Effect.andThen(lockNew(step), executor.run(step))) as Executor["Service"]["run"]
  return Executor.of({ run })
})

const size = ({ files }: Locked): string => bytes(files.reduce((sum, { size }) => sum + size, 0))

export const printLocked = (locked: ReadonlyArray<Locked>): void => {
  if (locked.length === 0) return print("the file refers to nothing on the Hub")
  print(table(
    ["reference", "commit", "files", "size", ""],
    locked.map((one) => [one.reference, one.commit.slice(0, 12), String(one.files.length), size(one), one.change]),
    [2, 3]
  ))
  print(`wrote ${lockFileName}`)
}

export const lock = Command.make("lock", { file, home, json }, (flags) =>
  Effect.gen(function*() {
    const options = flags.home._tag === "Some" ? { home: flags.home.value } : {}
    yield* Effect.gen(function*() {
      const locked = yield* lockPipeline(yield* load(flags.file))
      if (flags.json) {
        printJson(locked.map(({ change, commit, files, reference }) => ({ reference, commit, change, files })))
      } else printLocked(locked)
    }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Bars.layer))))
  }).pipe(forFile(flags.file))).pipe(
    Command.withDescription("Write down in penchant.lock what the file's data and models of the Hub are now")
  )
