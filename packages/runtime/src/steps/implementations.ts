// Every kind of step that ships, with what runs it: a new kind in the language does not compile until it has a row here.
import type { BuiltinKind } from "@penchant/dsl/Step"
import { extend } from "./extend.ts"
import type { Implementation } from "./Implementation.ts"
import { metric } from "./metric.ts"
import { model } from "./model.ts"
import { pairs } from "./pairs.ts"
import { rows } from "./rows.ts"
import { score } from "./score.ts"
import { scores } from "./scores.ts"
import { snapshot } from "./snapshot.ts"
import { split } from "./split.ts"
import { tokenise } from "./tokenise.ts"
import { train } from "./train.ts"
import { trajectory } from "./trajectory.ts"

export const implementations: Record<BuiltinKind, Implementation> = {
  rows,
  pairs,
  split,
  model,
  tokenise,
  score,
  train,
  extend,
  snapshot,
  metric,
  scores,
  trajectory
}
