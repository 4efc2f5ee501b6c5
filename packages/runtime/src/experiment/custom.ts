// Runs a step of the user's own: its module must export it under the name it gives, and all it gets is a workspace.
import type { Artifact, Kind } from "@penchant/dsl/Artifact"
import { type CustomStep, Workspace } from "@penchant/dsl/Custom"
import { CustomStepError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { attempt } from "../platform/problems.ts"
import type { Implementation, Input, Job, Output } from "../steps/Implementation.ts"
import { linkFiles } from "../steps/links.ts"
import { encode } from "./manifest.ts"
import type { Store } from "./Store.ts"

const isCustomStep = (value: unknown): value is CustomStep<Record<string, Kind>, unknown, Kind, unknown> =>
  typeof value === "object" && value !== null && "run" in value && "output" in value && "parameters" in value

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** A folder of links to the files of an artifact; blobs are read-only. */
const unfold = (at: string, { files }: Input): void => {
  if (fs.existsSync(at)) return
  const making = `${at}.making`
  fs.rmSync(making, { recursive: true, force: true })
  linkFiles(making, files)
  fs.renameSync(making, at)
}

/** Everything left in the workspace, by relative name. */
const collect = (directory: string): Output["files"] => {
  const files: Record<string, { readonly path: string }> = {}
  for (const entry of fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const at = path.join(entry.parentPath, entry.name)
    if (!entry.isDirectory()) files[path.relative(directory, at).replaceAll(path.sep, "/")] = { path: at }
  }
  return files
}

const exported = (url: string, name: string, fail: (problem: string) => CustomStepError) =>
  Effect.flatMap(
    Effect.tryPromise({
      try: () => import(url) as Promise<Readonly<Record<string, unknown>>>,
      catch: (cause) => fail(`the module cannot be loaded: ${text(cause)}`)
    }),
    (module) =>
      typeof module[name] === "function"
        ? Effect.void
        : Effect.fail(
          fail(
            `the module exports no step of that name; write \`export const ${name} = step(import.meta, "${name}", ...)\``
          )
        )
  )

const run = (store: Store["Service"]) =>
  Effect.fnUntraced(function*({ inputs, scratch, step }: Job) {
    const { code } = step
    if (code._tag !== "Module" || !isCustomStep(step.attached)) {
      return yield* Effect.die(new Error(`step "${step.kind}" has neither an implementation nor a definition`))
    }
    const definition = step.attached
    const fail = (problem: string) => new CustomStepError({ module: code.url, step: code.name, problem })
    yield* exported(code.url, code.name, fail)
    const parameters = yield* Schema.decodeUnknownEffect(definition.parameters)(step.parameters).pipe(
      Effect.mapError((error) => fail(`parameters: ${error.message}`))
    )
    const directory = path.join(scratch, "output")
    yield* attempt(directory, () => {
      fs.rmSync(directory, { recursive: true, force: true })
      fs.mkdirSync(directory, { recursive: true })
    })
    const open = Effect.fnUntraced(function*({ digest }: Artifact<Kind>) {
      const input = Object.values(inputs).find((at) => at.digest === digest) ?? (yield* store.open(digest))
      const at = path.join(scratch, "inputs", digest)
      yield* attempt(at, () => unfold(at, input))
      return at
    })
    const artifacts: Record<string, Artifact<Kind>> = {}
    for (const [name, { digest, meta }] of Object.entries(inputs)) artifacts[name] = { digest, meta: meta as object }
    const meta = yield* definition.run({ inputs: artifacts, parameters }).pipe(
      Effect.provideService(Workspace, { directory, open }),
      Effect.catchDefect((defect) => Effect.fail(fail(text(defect))))
    )
    const plain = encode(definition.output.tag, meta, [])
    if (Result.isFailure(plain)) return yield* fail(`what it returned is no plain data: ${plain.failure.problem}`)
    return {
      kind: definition.output.tag,
      meta,
      files: yield* attempt(directory, () => collect(directory))
    } satisfies Output
  })

export const customStep = (store: Store["Service"]): Implementation => ({
  computes: false,
  // A user's error need be no tagged one; whoever reads its message is prepared for that.
  run: run(store) as Implementation["run"]
})
