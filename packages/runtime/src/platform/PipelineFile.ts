// The pipeline file that a command was given, for messages that say which command to run next.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** As it was typed; "FILE" where there is none. */
export const PipelineFile = Context.Reference<string>("@penchant/runtime/PipelineFile", { defaultValue: () => "FILE" })

/** In quotes where a shell would take it apart. */
const shown = (file: string): string => /^[\w@%+=:,./\\-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`

export const forFile = (file: string): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =>
  Effect.provideService(PipelineFile, shown(file))
