// A pipeline file that runs itself: `if (import.meta.main) main(import.meta, { default: study })` and `node pipelines/x.ts`.
// The type checker is not run: whoever starts a file by hand has an editor that did.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import * as Bars from "../platform/Bars.ts"
import { forFile } from "../platform/PipelineFile.ts"
import { layer, type RuntimeOptions } from "../Runtime.ts"
import { exitCode, tellFailure } from "./ending.ts"
import { relative } from "./output.ts"
import { fromExports } from "./Pipeline.ts"
import { runPipeline } from "./run.ts"

/** Runs what a pipeline exports, prints the table, and ends the process with the exit code of the command line. */
export const main = (
  module: { readonly url: string },
  exports: Readonly<Record<string, unknown>>,
  options: RuntimeOptions = {}
): void => {
  const file = fileURLToPath(module.url)
  const command = `node ${relative(file)}`
  fromExports(file, exports).pipe(
    Effect.flatMap((pipeline) => runPipeline(pipeline, { ...options, command })),
    Effect.provide(layer(options).pipe(Layer.provideMerge(Bars.layer), Layer.provideMerge(NodeServices.layer))),
    forFile(relative(file)),
    Effect.onExit(tellFailure),
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
  )
}
