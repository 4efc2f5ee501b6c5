// The engines as layers: `layer("reference")`. One worker thread each, alive as long as the layer's scope.
import type { ComputeError } from "@penchant/dsl/Errors"
import * as Layer from "effect/Layer"
import type { EngineOptions } from "./Backend.ts"
import type { EngineName } from "./backends.ts"
import { Engine } from "./Engine.ts"
import { engineOf } from "./workerClient.ts"

export type { EngineName } from "./backends.ts"

// Published builds hold .js files, source trees .ts.
const worker = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

/** Starts the engine in a worker of its own. Closing asks it to end, waits up to 10 s, then terminates it. */
export const layer = (engine: EngineName, options: EngineOptions = {}): Layer.Layer<Engine, ComputeError> =>
  Layer.effect(Engine, engineOf(worker, { engine, options }))
