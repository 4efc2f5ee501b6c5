// What a run would do, before it does it: offline, from keys and the ledger alone, with a reason for everything that is not
// taken from the store.
import type { StoreError } from "@penchant/dsl/Errors"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import { type Action, actionOf, codeFiles, lastSuccess } from "./actions.ts"
import { type Checked, checked, type CheckStep } from "./check.ts"
import type { Code } from "./code.ts"
import type { Labelled } from "./facts.ts"
import type { Node } from "./graph.ts"
import type { Home } from "./Home.ts"
import { withInputs } from "./keys.ts"
import type { Label } from "./labels.ts"
import type { Rows } from "./Ledger.ts"
import { inputDifference, type InputNow, ownDifference, sentence, type Why } from "./Why.ts"

export type Verdict =
  | { readonly _tag: "Hit"; readonly digest: string }
  | { readonly _tag: "Run"; readonly why: ReadonlyArray<Why> }
  /** It ran before with everything but the inputs that are still to be made: if they come out the same, it is a hit. */
  | { readonly _tag: "MaybeCutoff"; readonly why: ReadonlyArray<Why>; readonly waitsFor: ReadonlyArray<string> }
  /** `by`: the label of the step that cannot run, and what is wrong with it. */
  | { readonly _tag: "Blocked"; readonly by: string; readonly problem: string }

export interface PlanNode {
  readonly label: string
  readonly aliases: ReadonlyArray<string>
  /** An exported result, not something on the way to one. */
  readonly exported: boolean
  readonly kind: string
  readonly planKey: string
  /** Undefined while an input has still to be made. */
  readonly actionKey: string | undefined
  readonly verdict: Verdict
  /** Seconds, from the last run with the same components, or under the same label. */
  readonly estimate: number | undefined
  /** Name -> label of the step it comes from. */
  readonly inputs: Readonly<Record<string, string>>
  /** Files in a source folder that are not identity. */
  readonly skipped: ReadonlyArray<string>
  /** What a person should look at before it runs. */
  readonly warnings: ReadonlyArray<string>
}

export interface Plan {
  /** Inputs before what needs them. */
  readonly nodes: ReadonlyArray<PlanNode>
  /** The node of a step that the targets reach. */
  readonly of: (step: AnyStep) => PlanNode
}

export const whyOf = (verdict: Verdict): ReadonlyArray<Why> =>
  verdict._tag === "Run" || verdict._tag === "MaybeCutoff" ? verdict.why : []

/** The reasons of a verdict in words. */
export const reasons = (verdict: Verdict): ReadonlyArray<string> =>
  verdict._tag === "Blocked" ? [`${verdict.by} cannot run: ${verdict.problem}`] : whyOf(verdict).map(sentence)

/** Why a step with these inputs is no hit, given that no result of exactly this is there. Never empty. */
export const missReasons = (
  rows: Rows,
  node: Node,
  label: Pick<Label, "label" | "pipeline" | "spare">,
  inputs: Readonly<Record<string, InputNow>>,
  code: Code
): ReadonlyArray<Why> => {
  const before = lastSuccess(rows, label)
  if (before === undefined) return [{ _tag: "NeverRan" }]
  const whys = [
    ...ownDifference(before, node.own.own(), codeFiles(rows, before.code), code.files),
    ...inputDifference(before.inputs, inputs)
  ]
  return whys.length === 0 ? [{ _tag: "NeverRan" }] : whys
}

/** Rows by one of their columns, in one statement however many keys are asked for. */
const byKeys = <Row>(rows: Rows, sql: string, keys: ReadonlyArray<unknown>): ReadonlyArray<Row> =>
  rows.all<Row>(sql, JSON.stringify(keys))

interface Known {
  readonly actions: ReadonlyMap<string, Action>
  /** Seconds by own key, of the last success with it. */
  readonly seconds: ReadonlyMap<string, number>
  /** The same by label in this pipeline. */
  readonly labels: ReadonlyMap<string, number>
}

const look = (rows: Rows, { graph, labels }: Labelled): Known => {
  const columns = "actionKey, planKey, ownKey, kind, output, seconds, finished"
  const actions = byKeys<Action>(
    rows,
    `SELECT ${columns} FROM json_each(?) JOIN action ON planKey = value`,
    graph.nodes.map(({ planKey }) => planKey)
  )
  const seconds = byKeys<{ readonly ownKey: string; readonly seconds: number }>(
    rows,
    "SELECT ownKey, seconds, max(finished) FROM json_each(?) JOIN action ON ownKey = value GROUP BY ownKey",
    [...new Set(graph.nodes.map(({ own }) => own.key))]
  )
  const names = [...labels.values()].flatMap(({ label, pipeline, spare }) =>
    (spare === undefined ? [label] : [label, spare]).map((name) => [pipeline, name])
  )
  const labelled = byKeys<{ readonly label: string; readonly seconds: number }>(
    rows,
    `SELECT label, seconds FROM json_each(?) JOIN label ON pipeline = value ->> 0 AND label = value ->> 1
     JOIN action USING (actionKey)`,
    names
  )
  return {
    actions: new Map(actions.map((action) => [action.actionKey, action])),
    seconds: new Map(seconds.map((row) => [row.ownKey, row.seconds])),
    labels: new Map(labelled.map((row) => [row.label, row.seconds]))
  }
}

const nothing: Checked = { problem: undefined, warnings: [] }

/** Verdicts for a graph. Writes nothing but the cache of file digests. */
export const planOf = Effect.fnUntraced(
  function*({ ledger, store }: Home, labelled: Labelled, check: CheckStep): Effect.fn.Return<Plan, StoreError> {
    const { graph, labels } = labelled
    const known = yield* ledger.read((rows) => look(rows, labelled))
    const done = new Map<string, PlanNode>()

    const verdictOf = Effect.fnUntraced(function*(node: Node, label: Label) {
      const inputs = Object.entries(node.inputs).map(([name, { planKey }]) => [name, done.get(planKey)!] as const)
      const stopped = inputs.map(([, input]) => input.verdict).find((verdict) => verdict._tag === "Blocked")
      if (node.problem !== undefined) {
        return { verdict: { _tag: "Blocked", by: label.label, problem: node.problem.message } as Verdict }
      }
      if (stopped !== undefined) return { verdict: stopped }
      const now: Record<string, InputNow> = {}
      const waitsFor: Array<string> = []
      for (const [name, input] of inputs) {
        const digest = input.verdict._tag === "Hit" ? input.verdict.digest : undefined
        now[name] = { label: input.label, digest }
        if (digest === undefined) waitsFor.push(input.label)
      }
      const misses = () =>
        known.labels.has(label.label) || (label.spare !== undefined && known.labels.has(label.spare))
          ? ledger.read((rows) => missReasons(rows, node, label, now, labelled.code))
          : Effect.succeed<ReadonlyArray<Why>>([{ _tag: "NeverRan" }])
      if (waitsFor.length > 0) {
        const why = yield* misses()
        const verdict: Verdict = known.seconds.has(node.own.key)
          ? { _tag: "MaybeCutoff", why, waitsFor: [...new Set(waitsFor)] }
          : { _tag: "Run", why }
        return { verdict }
      }
      const actionKey = withInputs(
        node.own.key,
        Object.fromEntries(Object.entries(now).map(([name, input]) => [name, input.digest!]))
      )
      const action = known.actions.get(actionKey) ??
        (known.seconds.has(node.own.key) ? yield* ledger.read((rows) => actionOf(rows, actionKey)) : undefined)
      if (action === undefined) return { actionKey, verdict: { _tag: "Run", why: yield* misses() } as Verdict }
      const condition = yield* store.check(action.output, "stamps")
      const verdict: Verdict = condition._tag === "Whole"
        ? { _tag: "Hit", digest: action.output }
        : { _tag: "Run", why: [{ _tag: "OutputGone", path: condition.path, problem: condition.problem }] }
      return { actionKey, verdict }
    })

    for (const node of graph.nodes) {
      const label = labels.get(node.planKey)!
      const given: { readonly actionKey?: string; readonly verdict: Verdict } = yield* verdictOf(node, label)
      const runs = given.verdict._tag === "Run" || given.verdict._tag === "MaybeCutoff"
      const { problem, warnings } = runs ? yield* checked(check, node.step, label.label) : nothing
      const { actionKey } = given
      const verdict: Verdict = problem === undefined
        ? given.verdict
        : { _tag: "Blocked", by: label.label, problem: problem.message }
      const inputs: Record<string, string> = {}
      for (const [name, input] of Object.entries(node.inputs)) inputs[name] = done.get(input.planKey)!.label
      done.set(node.planKey, {
        label: label.label,
        aliases: label.aliases,
        exported: label.exported,
        kind: node.step.kind,
        planKey: node.planKey,
        actionKey,
        verdict,
        estimate: verdict._tag === "Hit" || verdict._tag === "Blocked"
          ? undefined
          : known.seconds.get(node.own.key) ?? known.labels.get(label.label),
        inputs,
        warnings,
        skipped: Object.values(node.sources).flatMap(({ skipped }) => skipped)
      })
    }
    return { nodes: [...done.values()], of: (step) => done.get(graph.of(step).planKey)! }
  }
)
