// Every kind of step that ships, with what runs it: a new kind in the language does not compile until it has a row here.
// Loaded when a step of the kind first runs: a run that takes everything from the store loads no tokenizer and no engine.
import type { BuiltinKind } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import { mathPython } from "../evaluation/tasks/mathPython.ts"
import type { Check, Implementation } from "./Implementation.ts"

const lazy = (computes: boolean, load: () => Promise<Implementation>): Implementation => ({
  computes,
  run: (job) => Effect.flatMap(Effect.promise(load), ({ run }) => run(job))
})

const plain = (load: () => Promise<Implementation>): Implementation => lazy(false, load)
/** These run on the engine. */
const computing = (load: () => Promise<Implementation>): Implementation => lazy(true, load)

const checked = (implementation: Implementation, check: (checks: typeof import("./checks.ts")) => Check) => ({
  ...implementation,
  check: (step, around) =>
    Effect.flatMap(Effect.promise(() => import("./checks.ts")), (all) => check(all)(step, around))
} satisfies Implementation as Implementation)

export const implementations: Record<BuiltinKind, Implementation> = {
  rows: plain(() => import("./rows.ts").then(({ rows }) => rows)),
  pairs: plain(() => import("./pairs.ts").then(({ pairs }) => pairs)),
  split: plain(() => import("./split.ts").then(({ split }) => split)),
  mix: plain(() => import("./mix.ts").then(({ mix }) => mix)),
  dedupe: plain(() => import("./dedupe.ts").then(({ dedupe }) => dedupe)),
  decontaminate: plain(() => import("./decontaminate.ts").then(({ decontaminate }) => decontaminate)),
  noise: plain(() => import("./noise.ts").then(({ noise }) => noise)),
  model: checked(plain(() => import("./model.ts").then(({ model }) => model)), ({ model }) => model),
  tokenise: checked(plain(() => import("./tokenise.ts").then(({ tokenise }) => tokenise)), ({ tokenise }) => tokenise),
  score: computing(() => import("./score.ts").then(({ score }) => score)),
  train: checked(computing(() => import("./train.ts").then(({ train }) => train)), ({ train }) => train),
  extend: checked(computing(() => import("./extend.ts").then(({ extend }) => extend)), ({ train }) => train),
  snapshot: plain(() => import("./snapshot.ts").then(({ snapshot }) => snapshot)),
  metric: plain(() => import("./metric.ts").then(({ metric }) => metric)),
  generate: checked(computing(() => import("./generate.ts").then(({ generate }) => generate)), (all) => all.generate),
  divergence: plain(() => import("./divergence.ts").then(({ divergence }) => divergence)),
  judgedByEndpoint: plain(() => import("./judgedByEndpoint.ts").then((m) => m.judgedByEndpoint)),
  judgedByModel: computing(() => import("./judgedByModel.ts").then((m) => m.judgedByModel)),
  contamination: plain(() => import("./contamination.ts").then((m) => m.contamination)),
  benchmark: computing(() => import("./benchmark.ts").then(({ benchmark }) => benchmark)),
  mathEquivalence: {
    ...plain(() => import("./mathEquivalence.ts").then((m) => m.mathEquivalence)),
    outside: () => mathPython()?.versions
  },
  benchmarkGroup: plain(() => import("./benchmarkGroup.ts").then(({ benchmarkGroup }) => benchmarkGroup)),
  scores: plain(() => import("./scores.ts").then(({ scores }) => scores)),
  trajectory: plain(() => import("./trajectory.ts").then(({ trajectory }) => trajectory))
}
