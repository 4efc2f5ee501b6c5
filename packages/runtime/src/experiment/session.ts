// What passes between the parts of the executor: a request, its failures, and the small questions that all of them ask.
import * as Cause from "effect/Cause"
import type { Labelled } from "./facts.ts"
import type { Node } from "./graph.ts"
import type { History, Status } from "./history.ts"
import { type InputPart, withInputs } from "./keys.ts"
import type { Label } from "./labels.ts"
import type { Finished } from "./perform.ts"
import type { Why } from "./Why.ts"

export interface Failure {
  readonly label: string
  readonly cause: Cause.Cause<unknown>
}

/** One request: what failed stays failed for its length, and may be tried again by the next. */
export interface Session extends Labelled {
  /** By plan key. */
  readonly failed: Map<string, Failure>
  first: Failure | undefined
}

/** Carried from where a step failed to everything that needs it. */
export class Stopped {
  readonly failure: Failure
  constructor(failure: Failure) {
    this.failure = failure
  }
}

export type Inputs = Readonly<Record<string, InputPart>>

export const labelOf = (session: Session, { planKey }: Node): Label => session.labels.get(planKey)!

/** Undefined while one of them is not there. */
export const inputsOf = (
  session: Session,
  node: Node,
  settled: ReadonlyMap<string, Finished>
): Inputs | undefined => {
  const inputs: Record<string, InputPart> = {}
  for (const [name, input] of Object.entries(node.inputs)) {
    const { planKey } = input
    const finished = settled.get(planKey)
    if (finished === undefined) return undefined
    inputs[name] = { label: labelOf(session, input).label, planKey, digest: finished.digest }
  }
  return inputs
}

export const actionKeyOf = (node: Node, inputs: Inputs): string => {
  const digests: Record<string, string> = {}
  for (const [name, { digest }] of Object.entries(inputs)) digests[name] = digest
  return withInputs(node.own.key, digests)
}

export const tagOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined

interface Details {
  readonly actionKey?: string
  readonly why?: ReadonlyArray<Why>
  readonly artifact?: Finished
  readonly problem?: string
  readonly seconds?: number
}

/** Keeps what became of a node. */
export const report = (record: History, session: Session, node: Node, status: Status, details: Details) => {
  const names = labelOf(session, node)
  const { actionKey, artifact, problem, seconds = 0, why = [] } = details
  const { aliases, exported, label } = names
  return record.record({
    label,
    aliases,
    exported,
    kind: node.step.kind,
    planKey: node.planKey,
    actionKey,
    status,
    why,
    seconds,
    artifact: artifact === undefined
      ? undefined
      : { digest: artifact.digest, kind: artifact.kind, meta: artifact.meta },
    problem
  }, names)
}
