// What a run says while it goes: typed events. Who listens (bars on a terminal, JSON lines, nobody) is a layer.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export type Event =
  | { readonly _tag: "StepHit"; readonly label: string; readonly kind: string }
  | { readonly _tag: "StepStarted"; readonly label: string; readonly kind: string; readonly why: ReadonlyArray<string> }
  | {
    readonly _tag: "StepProgress"
    readonly label: string
    readonly done: number
    readonly total: number
    /** Of what: `step`, `pair`, `row`. */
    readonly unit: string
    readonly loss?: number
    /** Of the last unit: see training/speed.ts. */
    readonly tokensPerSecond?: number
    readonly fedPerSecond?: number
    readonly mfu?: number
    readonly peakBytes?: number
  }
  /** Bytes of one file that a step fetches. */
  | {
    readonly _tag: "FileProgress"
    readonly label: string
    readonly file: string
    readonly done: number
    readonly total: number
  }
  | { readonly _tag: "StepFinished"; readonly label: string; readonly kind: string; readonly seconds: number }
  | { readonly _tag: "StepFailed"; readonly label: string; readonly kind: string; readonly message: string }
  /** Something a person should look at; the run goes on. */
  | { readonly _tag: "Warning"; readonly label: string; readonly message: string }
  /** What was written, and where; shown at the end. */
  | { readonly _tag: "Wrote"; readonly what: string; readonly path: string }

export class Progress extends Context.Service<Progress, {
  readonly emit: (event: Event) => Effect.Effect<void>
}>()("@penchant/runtime/Progress") {
  /** Nobody listens. */
  static readonly silent = Layer.succeed(Progress, Progress.of({ emit: () => Effect.void }))
}
