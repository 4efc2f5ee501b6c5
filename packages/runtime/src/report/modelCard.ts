// README.md of a published model: what it was trained with and on, in words that another can repeat.
// https://huggingface.co/docs/hub/model-cards says what the Hub reads of the head.
import { type Node, rankOf } from "@penchant/dsl/Node"
import { toLatex } from "@penchant/dsl/Print"
import { isReference, parseReference } from "@penchant/dsl/Reference"
import * as Schema from "effect/Schema"
import { stringify } from "yaml"
import type { LockedFile } from "../hub/LockFile.ts"
import { fixed, grouped, rangeText, seconds, setting, settingsIn } from "./format.ts"
import type { Provenance, Source, Training } from "./provenance.ts"
import { intervalOf } from "./series.ts"

const Trained = Schema.Struct({
  objective: Schema.Struct({
    parameters: Schema.Record(Schema.String, Schema.Finite),
    loss: Schema.optionalKey(Schema.Unknown),
    custom: Schema.optionalKey(Schema.String)
  }),
  recipe: Schema.Record(Schema.String, Schema.Unknown)
})

/** What the ledger keeps of a formula is what `toLatex` was written for, unless another version wrote it. */
const latexOf = (loss: unknown): string | undefined => {
  try {
    rankOf(loss as Node)
    return toLatex(loss as Node)
  } catch {
    return undefined
  }
}

/** `train dpo(beta=0.5)` */
const titleOf = ({ label }: Training): string => label.slice(label.lastIndexOf("› ") + 1).trim()

const settings = (values: object): string =>
  Object.entries(settingsIn(values)).map(([name, value]) => `${name} ${setting(value)}`).join(", ")

const trainingText = (training: Training): ReadonlyArray<string> => {
  const { compute, determinism, engine: name, version } = training.numerics
  const engine = `Computed by ${name} ${version} in ${compute} (${determinism}) in ${seconds(training.seconds)}.`
  if (!Schema.is(Trained)(training.parameters)) return [`### ${titleOf(training)}`, engine]
  const { objective: { custom, loss, parameters }, recipe } = training.parameters
  const formula = loss === undefined ? undefined : latexOf(loss)
  return [
    `### ${titleOf(training)}`,
    ...(formula === undefined ? [] : [`$$${formula}$$`]),
    ...(custom === undefined ? [] : [`A loss of its own: \`${custom}\`.`]),
    ...(Object.keys(parameters).length === 0 ? [] : [`With ${settings(parameters)}.`]),
    `Recipe: ${settings(recipe)}.`,
    engine
  ]
}

const revision = (source: Source, locked: ReadonlyArray<LockedFile>): string => {
  const known = locked.find(({ file, reference, sha256 }) => reference === source.path && source.files[file] === sha256)
  return known === undefined ? "" : ` at commit \`${known.commit}\``
}

const sourceText = (source: Source, locked: ReadonlyArray<LockedFile>): ReadonlyArray<string> => [
  isReference(source.path)
    ? `- \`${source.path}\`${revision(source, locked)}`
    : `- ${Object.keys(source.files).length === 1 ? "a file" : "a folder"} called \`${source.path.split("/").at(-1)}\``,
  ...Object.entries(source.files).map(([file, sha256]) => `  - ${file === "." ? "" : `${file}, `}sha256 \`${sha256}\``)
]

const scoresText = ({ scores }: Provenance): ReadonlyArray<string> =>
  scores.flatMap(({ label, numbers }) => [
    `From \`${label}\`:`,
    [
      "| metric | value (95 % interval) |",
      "| --- | --- |",
      ...Object.keys(numbers).filter((name) => !/(Low|High|Stderr)$/.test(name)).map((name) =>
        `| ${name} | ${rangeText(intervalOf(numbers, name)!, (value) => fixed(value, 4))} |`
      )
    ].join("\n")
  ])

const idsOf = (sources: ReadonlyArray<Source>): ReadonlyArray<string> => [
  ...new Set(
    sources.filter(({ path }) => isReference(path)).map(({ path }) =>
      parseReference(path).repo.replace(/^[a-z]+\//, "")
    )
  )
]

export interface Card {
  readonly name: string
  readonly provenance: Provenance
  readonly locked: ReadonlyArray<LockedFile>
  readonly figure: string | undefined
  readonly version: string
}

export const modelCard = ({ figure, locked, name, provenance, version }: Card): string => {
  const { base, data, model, trainings } = provenance
  const [baseModel] = base === undefined ? [] : idsOf([base])
  const datasets = idsOf(data)
  const head = {
    library_name: "transformers",
    pipeline_tag: "text-generation",
    ...(baseModel === undefined ? {} : { base_model: baseModel }),
    ...(datasets.length === 0 ? {} : { datasets }),
    tags: ["penchant", "preference-optimisation", ...trainings.slice(0, 1).map((at) => titleOf(at).split(/[ (]/)[1]!)]
  }
  const { parameters } = model.manifest.meta as { readonly parameters?: number }
  return [
    `---\n${stringify(head)}---`,
    `# ${name}`,
    `${
      parameters === undefined ? "A model" : `A model of ${grouped(parameters)} parameters`
    }, trained with penchant ${version}. Its result digest is \`${model.digest}\`.`,
    "## Training",
    ...trainings.flatMap(trainingText),
    ...(figure === undefined ? [] : [`![The last training](${figure})`]),
    "## Data and start",
    [...(base === undefined ? [] : sourceText(base, locked)), ...data.flatMap((source) => sourceText(source, locked))]
      .join("\n"),
    ...(provenance.scores.length === 0 ? [] : ["## Measured", ...scoresText(provenance)])
  ].join("\n\n") + "\n"
}
