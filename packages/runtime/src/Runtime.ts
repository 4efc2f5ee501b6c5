// This machine as a place to run pipelines: state directory, engine, executor. The command line and programs use the same.
import type { ComputeError, StoreError } from "@penchant/dsl/Errors"
import type { Executor, Policy } from "@penchant/dsl/Step"
import * as Layer from "effect/Layer"
import type { EngineOptions } from "./compute/Backend.ts"
import { type EngineName, layer as engineLayer } from "./compute/Engines.ts"
import { numericsOf } from "./compute/numerics.ts"
import { type Experiment, layer as experimentLayer } from "./experiment/Experiment.ts"
import { CurrentHome } from "./experiment/Home.ts"
import { homeDirectory } from "./platform/home.ts"
import type { Progress } from "./platform/Progress.ts"
import { implementations } from "./steps/implementations.ts"

export interface RuntimeOptions extends EngineOptions {
  /** Default `onnx`. */
  readonly engine?: EngineName
  /** Default PENCHANT_HOME, else `.penchant` in the working directory. */
  readonly home?: string
  /** Overrides for every step. */
  readonly policy?: Policy
}

/** Runs steps here. `Progress` says who listens: `Progress.silent`, or the bars of `platform/Bars.ts`. */
export const layer = (
  { engine = "onnx", home, policy, ...options }: RuntimeOptions = {}
): Layer.Layer<Experiment | Executor | CurrentHome, StoreError | ComputeError, Progress> =>
  experimentLayer({
    implementations,
    engine: engineLayer(engine, { ...options, home: homeDirectory(home) }),
    numerics: numericsOf(engine, options),
    ...(policy === undefined ? {} : { policy })
  }).pipe(Layer.provideMerge(CurrentHome.layer(homeDirectory(home))))
