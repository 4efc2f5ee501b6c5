// Edits to the experiment of `world.ts`, and for each what must be said about which steps.
import type { Numerics } from "@penchant/runtime/compute/Engine"
import * as fs from "node:fs"
import * as path from "node:path"
import type { World } from "./world.ts"

const rows = "read hh"
const clean = "trained › clean"
const model = "load tiny"
const data = "trained › tokenise train"
const test = "study/dpo › tokenise test"
const reference = "trained › score reference"
const trained = "trained"
const accuracy = "study/dpo › accuracy"
const margin = "study/dpo › margin"
const scores = "study/dpo"
const ends = [trained, accuracy, margin, scores]
const afterRows = [clean, data, test, reference, ...ends]
const afterModel = [data, test, reference, ...ends]
const everything = [rows, model, ...afterRows]

export interface Edit {
  readonly what: string
  readonly edit: (w: World) => void
  /** Reasons by label, for the steps where the edit shows; all further misses are due to their inputs alone. */
  readonly why: Readonly<Record<string, ReadonlyArray<string>>>
  readonly misses: ReadonlyArray<string>
}

const file = (name: string, content: string) => (w: World): void => {
  w.files[name] = content
}
const removed = (name: string) => (w: World): void => {
  delete w.files[name]
}
const set = (part: "rows" | "tokenise" | "objective" | "recipe" | "test", change: Record<string, unknown>) =>
(
  w: World
): void => {
  w[part] = { ...w[part], ...change }
}
const engine = (change: Partial<Numerics>) => (w: World): void => {
  w.numerics = { ...w.numerics, ...change }
}
const onRecipe = (what: string, change: Record<string, unknown>, why: ReadonlyArray<string>): Edit => ({
  what,
  edit: set("recipe", change),
  why: { [trained]: why },
  misses: ends
})
const onCode = (what: string, edit: (w: World) => void, files: string): Edit => ({
  what,
  edit,
  why: Object.fromEntries(everything.map((label) => [label, [`code changed: ${files}`]])),
  misses: everything
})
const onEngine = (what: string, change: Partial<Numerics>, why: ReadonlyArray<string>): Edit => ({
  what,
  edit: engine(change),
  why: { [reference]: why, [trained]: why },
  misses: [reference, ...ends]
})
const nothing = (what: string, edit: (w: World) => void): Edit => ({ what, edit, why: {}, misses: [] })

export const edits: ReadonlyArray<Edit> = [
  onRecipe("a recipe's number", { learningRate: 0.002 }, ["recipe.learningRate changed from 0.001 to 0.002"]),
  onRecipe("the seed", { seed: 1 }, ["recipe.seed changed from 0 to 1"]),
  onRecipe("two numbers", { seed: 1, epochs: 3 }, [
    "recipe.epochs changed from 1 to 3",
    "recipe.seed changed from 0 to 1"
  ]),
  onRecipe("a number to a text", { epochs: "1" }, ["recipe.epochs changed from 1 to \"1\""]),
  onRecipe("a nested number", { schedule: { shape: "cosine", warmup: 0 } }, [
    "recipe.schedule.warmup changed from 0.1 to 0"
  ]),
  onRecipe("a new field", { decay: 0.1 }, ["recipe.decay changed from absent to 0.1"]),
  onRecipe("a field for a record", { schedule: "constant" }, [
    "recipe.schedule changed from {\"shape\":\"cosine\",\"warmup\":0.1} to \"constant\""
  ]),
  {
    what: "a field less",
    edit: (w) => {
      const { batchSize: _, ...rest } = w.recipe
      w.recipe = rest
    },
    why: { [trained]: ["recipe.batchSize changed from 16 to absent"] },
    misses: ends
  },
  {
    what: "beta",
    edit: set("objective", { parameters: { beta: 0.5 } }),
    why: { [trained]: ["objective.parameters.beta changed from 0.1 to 0.5"] },
    misses: ends
  },
  {
    what: "the formula: another node is one change",
    edit: set("objective", { loss: { kind: "softplus", of: { kind: "parameter", name: "beta" } } }),
    why: {
      [trained]: [
        "objective.loss changed from {\"kind\":\"negate\",\"of\":{\"kind\":\"logSigmoid\",\"of\":{\"kind\":\"... to {\"kind\":\"softplus\",\"of\":{\"kind\":\"parameter\",\"name\":\"beta\"}}"
      ]
    },
    misses: ends
  },
  {
    what: "what the loss is divided by",
    edit: set("objective", { per: "token" }),
    why: { [trained]: ["objective.per changed from \"pair\" to \"token\""] },
    misses: ends
  },
  {
    what: "the length of training data",
    edit: set("tokenise", { maxLength: 512 }),
    why: {
      [data]: ["maxLength changed from 384 to 512"],
      [trained]: [`input "data" changed: ${data}`, `input "reference" changed: ${reference}`]
    },
    misses: [data, reference, ...ends]
  },
  {
    what: "the length of test data",
    edit: set("test", { maxLength: 512 }),
    why: { [test]: ["maxLength changed from 384 to 512"], [accuracy]: [`input "data" changed: ${test}`] },
    misses: [test, accuracy, margin, scores]
  },
  {
    what: "a truth value",
    edit: set("tokenise", { allowCut: true }),
    why: { [data]: ["allowCut changed from false to true"] },
    misses: [data, reference, ...ends]
  },
  {
    what: "the row schema: a list of another length is one change",
    edit: set("rows", { row: { type: "object", required: ["chosen", "rejected"] } }),
    why: { [rows]: ["row.required changed from [\"chosen\"] to [\"chosen\",\"rejected\"]"] },
    misses: [rows, ...afterRows]
  },
  {
    what: "an element of a list",
    edit: set("rows", { row: { type: "object", required: ["rejected"] } }),
    why: { [rows]: ["row.required[0] changed from \"chosen\" to \"rejected\""] },
    misses: [rows, ...afterRows]
  },
  {
    what: "the data file",
    edit: file("hh.jsonl", "{\"a\":2}\n"),
    why: { [rows]: ["$/hh.jsonl changed"] },
    misses: [rows, ...afterRows]
  },
  {
    what: "a file of a folder",
    edit: file("model/model.safetensors", "weightz"),
    why: { [model]: ["$/model/model.safetensors changed"] },
    misses: [model, ...afterModel]
  },
  {
    what: "a file in a folder of a folder",
    edit: file("model/tokenizer/vocab.json", "{ }"),
    why: { [model]: ["$/model/tokenizer/vocab.json changed"] },
    misses: [model, ...afterModel]
  },
  {
    what: "a new file in a folder",
    edit: file("model/generation_config.json", "{}"),
    why: { [model]: ["$/model/generation_config.json changed"] },
    misses: [model, ...afterModel]
  },
  {
    what: "a file less in a folder",
    edit: removed("model/config.json"),
    why: { [model]: ["$/model/config.json changed"] },
    misses: [model, ...afterModel]
  },
  nothing("the README of a model", file("model/README.md", "another story")),
  nothing("a hidden file", file("model/.gitattributes", "")),
  nothing("the command line's code", file("code/runtime/cli/main.ts", "console.log(1)")),
  nothing("an option that is no identity: declarations", file("code/dsl/Formula.d.ts", "export {}")),
  nothing("a file written again with the same bytes", (w) => {
    fs.writeFileSync(path.join(w.directory, "hh.jsonl"), w.files["hh.jsonl"]!)
  }),
  onCode(
    "a source file of ours",
    file("code/runtime/training/loss.ts", "export const loss = 2"),
    "runtime/training/loss.ts"
  ),
  onCode("a new source file", file("code/dsl/New.ts", ""), "dsl/New.ts"),
  onCode("a source file less", removed("code/dsl/Formula.ts"), "dsl/Formula.ts"),
  onCode("the lockfile", file("lock.yaml", "effect@4.2.0"), "pnpm-lock.yaml"),
  onCode(
    "five files",
    (w) => {
      for (const n of [1, 2, 3, 4, 5]) w.files[`code/dsl/n${n}.ts`] = ""
    },
    "dsl/n1.ts, dsl/n2.ts, dsl/n3.ts and 2 more"
  ),
  {
    what: "the module of a step of one's own",
    edit: file("own/dedupe.ts", "import { key } from \"./lib/key.ts\"\nexport const dedupe = () => key + 1"),
    why: { [clean]: ["code changed: dedupe.ts"] },
    misses: [clean, data, reference, ...ends]
  },
  {
    what: "a module that it imports",
    edit: file("own/lib/key.ts", "export const key = 2"),
    why: { [clean]: ["code changed: lib/key.ts"] },
    misses: [clean, data, reference, ...ends]
  },
  {
    what: "the epoch of a step of one's own",
    edit: (w) => {
      w.epoch = 1
    },
    why: { [clean]: ["step.epoch changed from 0 to 1"] },
    misses: [clean, data, reference, ...ends]
  },
  {
    what: "another kind of step under the same label",
    edit: (w) => {
      w.cleanKind = "split"
    },
    why: { [clean]: ["kind changed from \"pairs\" to \"split\""] },
    misses: [clean, data, reference, ...ends]
  },
  onEngine("the engine's version", { version: "2" }, ["version changed from \"1\" to \"2\""]),
  onEngine("the engine", { engine: "onnx", compute: "float32" }, [
    "compute changed from \"float64\" to \"float32\"",
    "engine changed from \"fake\" to \"onnx\""
  ]),
  onEngine("the group cut of a bitwise engine", { groups: [1, 2] }, ["groups changed from [1,2,4] to [1,2]"]),
  onEngine("loss on the host or fused", { loss: "fused" }, ["loss changed from \"host\" to \"fused\""]),
  {
    what: "an input less",
    edit: (w) => {
      w.reference = "none"
    },
    why: { [trained]: [`input "reference" is no longer there: ${reference}`] },
    misses: ends
  },
  {
    what: "a metric more",
    edit: (w) => {
      w.metrics = ["accuracy", "margin", "chosen"]
    },
    why: { "study/dpo › chosen": ["never ran"], [scores]: ["input \"chosen\" is new: study/dpo › chosen"] },
    misses: ["study/dpo › chosen", scores]
  },
  {
    what: "a metric less",
    edit: (w) => {
      w.metrics = ["accuracy"]
    },
    why: { [scores]: [`input "margin" is no longer there: ${margin}`] },
    misses: [scores]
  }
]
