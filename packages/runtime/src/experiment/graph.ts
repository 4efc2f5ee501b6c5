// A pipeline's steps as nodes: equal steps once, inputs before what needs them, each with its plan key.
// Pure: what files, code and engine are is passed in. Leaves out labels (labels.ts) and verdicts (Plan.ts).
import { type BadFile, type HubError, StoreError } from "@penchant/dsl/Errors"
import { NotCanonical, sha256 } from "@penchant/dsl/Identity"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Result from "effect/Result"
import { modulesOf, type OwnKey, ownKey, type Surroundings, withInputs } from "./keys.ts"
import { placeOf, type Source, type SourceResult } from "./sources.ts"

/** A result to make, and what people call it. */
export interface Target {
  readonly label: string
  readonly step: AnyStep
}

export interface Node {
  readonly step: AnyStep
  readonly planKey: string
  readonly own: OwnKey
  readonly inputs: Readonly<Record<string, Node>>
  readonly sources: Readonly<Record<string, Source>>
  readonly computes: boolean
  /** Why it cannot run, as far as is known before anything runs: a missing file, a reference that is not locked, a parameter that is NaN. */
  readonly problem: BadFile | HubError | StoreError | undefined
  /** It or something it needs cannot run, so its plan key says nothing lasting. */
  readonly broken: boolean
}

export interface Facts extends Omit<Surroundings, "numerics"> {
  /** Undefined when nothing in the graph computes. */
  readonly numerics: Readonly<Record<string, unknown>> | undefined
  /** By absolute path, or reference. */
  readonly sources: ReadonlyMap<string, SourceResult>
  readonly computes: (step: AnyStep) => boolean
  /** Of a step that does not compute: what stands in the place of an engine's numerics. */
  readonly outside: (step: AnyStep) => Readonly<Record<string, unknown>> | undefined
  readonly directory: string
}

/** All steps that the targets reach, each object once, inputs first. No recursion: chains may be long. */
export const stepsOf = (targets: ReadonlyArray<AnyStep>): ReadonlyArray<AnyStep> => {
  const done = new Set<AnyStep>()
  const entered = new Set<AnyStep>()
  const stack = targets.toReversed()
  while (stack.length > 0) {
    const step = stack.at(-1)!
    if (!entered.has(step)) {
      entered.add(step)
      for (const input of Object.values(step.inputs)) if (!entered.has(input)) stack.push(input)
    } else {
      stack.pop()
      done.add(step)
    }
  }
  return [...done]
}

/** Absolute paths, references and module urls that keys depend on. */
export const outsideOf = (steps: ReadonlyArray<AnyStep>, directory: string) => {
  const paths = new Set<string>()
  const modules = new Set<string>()
  for (const step of steps) {
    for (const at of Object.values(step.sources)) paths.add(placeOf(directory, at))
    for (const url of modulesOf(step)) modules.add(url)
  }
  return { paths: [...paths], modules: [...modules] }
}

const unknownKey: OwnKey = {
  key: "",
  identity: {},
  own: () => {
    throw new Error("a step that cannot run has no components")
  }
}

const nodeOf = (step: AnyStep, inputs: Readonly<Record<string, Node>>, facts: Facts): Node => {
  const sources: Record<string, Source> = {}
  let problem: Node["problem"]
  for (const [name, at] of Object.entries(step.sources)) {
    const source = facts.sources.get(placeOf(facts.directory, at))!
    if (Result.isSuccess(source)) sources[name] = source.success
    else problem ??= source.failure
  }
  const computes = facts.computes(step)
  const { code, modules } = facts
  const own = ownKey(step, sources, { code, modules, numerics: computes ? facts.numerics : facts.outside(step) })
  if (own instanceof NotCanonical) {
    problem = new StoreError({ path: step.title, problem: `${own.message}, so the step has no key` })
  }
  const key = own instanceof NotCanonical ? unknownKey : own
  const planKeys: Record<string, string> = {}
  for (const [name, input] of Object.entries(inputs)) planKeys[name] = input.planKey
  return {
    step,
    // A step that cannot run is told apart by what is wrong with it.
    planKey: withInputs(
      problem === undefined ? key.key : sha256(`${step.kind} ${step.title} ${problem.message}`),
      planKeys
    ),
    own: key,
    inputs,
    sources,
    computes,
    problem,
    broken: problem !== undefined || Object.values(inputs).some((input) => input.broken)
  }
}

export interface Graph {
  /** Inputs before what needs them; one node per plan key. */
  readonly nodes: ReadonlyArray<Node>
  readonly at: (planKey: string) => Node
  readonly of: (step: AnyStep) => Node
  readonly has: (step: AnyStep) => boolean
}

/** `known` keeps nodes between calls, so that the points of a study do not encode what they share again. */
export const graph = (steps: ReadonlyArray<AnyStep>, facts: Facts, known: WeakMap<AnyStep, Node>): Graph => {
  const nodes = new Map<string, Node>()
  const byStep = new Map<AnyStep, Node>()
  for (const step of steps) {
    let node = known.get(step)
    if (node === undefined) {
      const inputs: Record<string, Node> = {}
      for (const name of Object.keys(step.inputs)) inputs[name] = byStep.get(step.inputs[name]!)!
      node = nodeOf(step, inputs, facts)
      // A missing file may be there next time.
      if (!node.broken) known.set(step, node)
    }
    byStep.set(step, node)
    const twin = nodes.get(node.planKey)
    // Of equal steps the one with a policy is run: `withPolicy` makes a second object of the same step.
    if (twin === undefined) nodes.set(node.planKey, node)
    else if (Object.keys(twin.step.policy).length === 0 && Object.keys(node.step.policy).length > 0) {
      nodes.set(node.planKey, { ...twin, step: node.step })
    }
  }
  const at = (planKey: string): Node => nodes.get(planKey)!
  return {
    nodes: [...nodes.values()],
    at,
    of: (step) => at(byStep.get(step)!.planKey),
    has: (step) => byStep.has(step)
  }
}
