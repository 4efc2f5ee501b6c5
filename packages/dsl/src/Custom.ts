// A step of one's own. Its address is (module url, export name), its identity the code that the export reaches.
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Artifact, Kind } from "./Artifact.ts"
import type { CustomStepError, StoreError } from "./Errors.ts"
import { type AnyStep, make, type Step } from "./Step.ts"

/** Names a kind at run time, and its type at compile time. */
export interface Witness<in out K extends Kind> {
  readonly _kind?: (kind: K) => K
  readonly tag: string
}
export const kind = <K extends Kind>(tag: K["_tag"]): Witness<K> => ({ tag })

/** All that a custom step may require: a directory whose files become the artifact, and its inputs as directories. */
export class Workspace extends Context.Service<Workspace, {
  /** Empty at the start; the files left in it are the artifact. */
  readonly directory: string
  /** A read-only directory with the files of an artifact. */
  readonly open: (artifact: Artifact<Kind>) => Effect.Effect<string, StoreError>
}>()("@penchant/dsl/Workspace") {}

export interface CustomStep<I extends Record<string, Kind>, P, O extends Kind, E> {
  readonly inputs: { readonly [X in keyof I]: Witness<I[X]> }
  readonly parameters: Schema.Codec<P, any>
  readonly output: Witness<O>
  /** `bitwise`: the same bytes every time; `seeded`: the same up to float order; `none`: shown in every table made of it. */
  readonly determinism: "bitwise" | "seeded" | "none"
  /** Raise it to invalidate on purpose. */
  readonly epoch?: number
  readonly run: (io: {
    readonly inputs: { readonly [X in keyof I]: Artifact<I[X]> }
    readonly parameters: P
  }) => Effect.Effect<O["meta"], E, Workspace>
}

type InputsOf<I extends Record<string, Kind>, E> = { readonly [X in keyof I]: Step<I[X], E> }

/** `export const dedupe = step(import.meta, "dedupe", { ... })`: the name must be that of the export. */
export const step = <I extends Record<string, Kind>, P, O extends Kind, E>(
  module: { readonly url: string },
  name: string,
  definition: CustomStep<I, P, O, E>
) =>
<E2 = never>(inputs: InputsOf<I, E2>, parameters: P): Step<O, E | E2 | CustomStepError> =>
  make({
    kind: name,
    title: name,
    inputs: inputs as Readonly<Record<string, AnyStep>>,
    parameters: Schema.encodeUnknownSync(definition.parameters)(parameters),
    code: { _tag: "Module", url: module.url, name, epoch: definition.epoch ?? 0 },
    attached: definition
  })
