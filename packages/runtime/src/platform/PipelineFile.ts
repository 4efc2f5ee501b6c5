// The pipeline file that a command was given: reasons compare with what ran from the same file, messages say which command to
// run next.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** As it was typed; undefined in a program that was not given one. */
export const PipelineFile = Context.Reference<string | undefined>("@penchant/runtime/PipelineFile", {
  defaultValue: () => undefined
})

/** In quotes where a shell would take it apart. */
const shown = (file: string): string => /^[\w@%+=:,./\\-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`

/** For a command line; "FILE" where there is none. */
export const pipelineShown: Effect.Effect<string> = Effect.gen(function*() {
  const file = yield* PipelineFile
  return file === undefined ? "FILE" : shown(file)
})

export const forFile = (file: string): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =>
  Effect.provideService(PipelineFile, file)
