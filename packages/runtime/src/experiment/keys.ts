// What a step is: its components, and the two keys made of them. planKey takes the plan keys of the inputs, so the whole plan
// is known before anything runs; actionKey takes the digests of their results, so work stops where results come out the same.
// Policy, titles, labels and paths are no components.
import { canonical, NotCanonical, sha256 } from "@penchant/dsl/Identity"
import { isCustom, isObjective } from "@penchant/dsl/Objective"
import type { AnyStep } from "@penchant/dsl/Step"
import type { Numerics } from "../compute/Engine.ts"
import type { Code } from "./code.ts"
import type { Source } from "./sources.ts"

/** Raised when keys are made differently: a released format is never reused. */
export const format = 1

/** An engine's numerics as identity: the group cut orders float sums, which matters only where results are bitwise. */
export const numericsIdentity = (numerics: Numerics): Readonly<Record<string, unknown>> => {
  const { groups, ...rest } = numerics
  return numerics.determinism === "bitwise" ? { ...rest, groups } : rest
}

/** The user's modules whose code a step runs: its own, and that of a custom objective. */
export const modulesOf = (step: AnyStep): ReadonlyArray<string> => {
  const attached = step.attached
  const objective = typeof attached === "object" && attached !== null && "objective" in attached
    ? attached.objective
    : undefined
  return [
    ...(step.code._tag === "Module" ? [step.code.url] : []),
    ...(isObjective(objective) && isCustom(objective.loss) ? [objective.loss.module] : [])
  ]
}

/** Everything but the inputs, in full: kept with the result so that a later difference can be named. */
export interface Own {
  readonly format: number
  readonly kind: string
  readonly parameters: unknown
  readonly sources: Readonly<
    Record<string, { readonly path: string; readonly files: Readonly<Record<string, string>> }>
  >
  readonly code: string
  /** Of the user's own modules: name -> sha256, and where an export is the step, its name and epoch. */
  readonly modules?: Readonly<Record<string, string>>
  readonly step?: { readonly name: string; readonly epoch: number }
  readonly numerics?: Readonly<Record<string, unknown>>
}

export interface InputPart {
  readonly label: string
  readonly planKey: string
  readonly digest: string
}

export interface Parts extends Own {
  readonly inputs: Readonly<Record<string, InputPart>>
}

const parameterDigests = new WeakMap<object, string>()

/** Studies share parameter objects; each is encoded once. */
const parametersDigest = (parameters: unknown): string => {
  const known = typeof parameters === "object" && parameters !== null ? parameterDigests.get(parameters) : undefined
  if (known !== undefined) return known
  const made = sha256(canonical(parameters, "parameters"))
  if (typeof parameters === "object" && parameters !== null) parameterDigests.set(parameters, made)
  return made
}

export interface Surroundings {
  readonly code: Code
  readonly numerics: Readonly<Record<string, unknown>> | undefined
  readonly modules: ReadonlyMap<string, Code>
}

export interface OwnKey {
  readonly key: string
  /** The components' digests, for checkpoints: what they belong to. */
  readonly identity: Readonly<Record<string, string>>
  /** Built on demand: a plan of thousands of hits never needs it. */
  readonly own: () => Own
}

/** `sources` by the step's names for them. Fails with the path of a parameter that has no canonical form. */
export const ownKey = (
  step: AnyStep,
  sources: Readonly<Record<string, Source>>,
  { code, modules, numerics }: Surroundings
): OwnKey | NotCanonical => {
  let parameters: string
  try {
    parameters = parametersDigest(step.parameters)
  } catch (cause) {
    if (cause instanceof NotCanonical) return cause
    throw cause
  }
  const used = modulesOf(step).map((url) => modules.get(url)!)
  const identity: Record<string, string> = { kind: step.kind, parameters, code: code.digest }
  for (const [name, source] of Object.entries(sources)) identity[`source ${name}`] = source.digest
  for (const [i, module] of used.entries()) identity[`module ${i}`] = module.digest
  if (step.code._tag === "Module") identity["step"] = `${step.code.name} ${step.code.epoch}`
  if (numerics !== undefined) identity["numerics"] = sha256(canonical(numerics, "numerics"))
  return {
    key: sha256(canonical({ format, ...identity })),
    identity,
    own: () => ({
      format,
      kind: step.kind,
      parameters: step.parameters,
      sources: Object.fromEntries(
        Object.entries(sources).map(([name, { files, path }]) => [name, { path, files }])
      ),
      code: code.digest,
      ...(used.length === 0 ? {} : { modules: Object.assign({}, ...used.map(({ files }) => files)) }),
      ...(step.code._tag === "Module" ? { step: { name: step.code.name, epoch: step.code.epoch } } : {}),
      ...(numerics === undefined ? {} : { numerics })
    })
  }
}

/** A key over the inputs: their plan keys for the planKey, their results' digests for the actionKey. */
export const withInputs = (own: string, inputs: Readonly<Record<string, string>>): string =>
  sha256(canonical({ own, inputs }))
