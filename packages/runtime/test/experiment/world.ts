// One experiment as a user has it, with files, code, a model folder and a step of its own: what the corpus of edits edits.
import { Workspace } from "@penchant/dsl/Custom"
import { make } from "@penchant/dsl/Step"
import type { Numerics } from "@penchant/runtime/compute/Engine"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { numerics, step } from "./fakes.ts"

export interface World {
  readonly directory: string
  files: Record<string, string>
  rows: Record<string, unknown>
  tokenise: Record<string, unknown>
  objective: Record<string, unknown>
  recipe: Record<string, unknown>
  metrics: ReadonlyArray<string>
  test: Record<string, unknown>
  numerics: Numerics
  epoch: number
  reference: "start" | "base" | "none"
  cleanKind: "pairs" | "split"
}

export const world = (directory: string): World => ({
  directory,
  files: {
    "hh.jsonl": "{\"a\":1}\n",
    "model/config.json": "{\"hidden_size\": 8}",
    "model/model.safetensors": "weights",
    "model/tokenizer/vocab.json": "{}",
    "model/README.md": "a model",
    "model/.gitattributes": "*",
    "code/dsl/Formula.ts": "export const a = 1",
    "code/dsl/Step.ts": "export const step = 1",
    "code/runtime/training/train.ts": "import './loss.ts'",
    "code/runtime/training/loss.ts": "export const loss = 1",
    "code/runtime/cli/main.ts": "console.log()",
    "lock.yaml": "effect@4.1.0",
    "own/dedupe.ts": "import { key } from \"./lib/key.ts\"\nexport const dedupe = () => key",
    "own/lib/key.ts": "export const key = 1"
  },
  rows: { from: "file", row: { type: "object", required: ["chosen"] } },
  tokenise: { maxLength: 384, truncation: "drop", allowCut: false },
  objective: {
    per: "pair",
    parameters: { beta: 0.1 },
    loss: {
      kind: "negate",
      of: { kind: "logSigmoid", of: { kind: "times", left: { kind: "parameter", name: "beta" }, right: 1 } }
    }
  },
  recipe: { epochs: 1, learningRate: 0.001, batchSize: 16, seed: 0, schedule: { shape: "cosine", warmup: 0.1 } },
  metrics: ["accuracy", "margin"],
  test: { maxLength: 384 },
  numerics,
  epoch: 0,
  reference: "start",
  cleanKind: "pairs"
})

export const write = ({ directory, files }: World): void => {
  for (const folder of ["model", "code", "own"]) {
    fs.rmSync(path.join(directory, folder), { recursive: true, force: true })
  }
  for (const [name, content] of Object.entries(files)) {
    const at = path.join(directory, name)
    if (fs.existsSync(at) && fs.readFileSync(at, "utf8") === content) continue
    fs.mkdirSync(path.dirname(at), { recursive: true })
    fs.writeFileSync(at, content)
  }
}

/** What `step(import.meta, "dedupe", { ... })` attaches. */
const cleaning = {
  inputs: {},
  parameters: Schema.Struct({}),
  output: { tag: "Pairs" },
  determinism: "bitwise",
  run: () =>
    Effect.map(Workspace, ({ directory }) => {
      fs.writeFileSync(path.join(directory, "pairs.jsonl"), "{}")
      return { count: 1 }
    })
}

export const targets = (w: World) => {
  const rows = step("rows", w.rows, {}, { title: "read hh", sources: { file: "hh.jsonl" } })
  const pairs = make({
    kind: w.cleanKind,
    title: "clean",
    inputs: { rows },
    code: {
      _tag: "Module",
      url: pathToFileURL(path.join(w.directory, "own/dedupe.ts")).href,
      name: "dedupe",
      epoch: w.epoch
    },
    attached: cleaning
  })
  const model = step("model", { from: "dir" }, {}, { title: "load tiny", sources: { dir: "model" } })
  const data = step("tokenise", w.tokenise, { data: pairs, model }, { title: "tokenise train" })
  const test = step("tokenise", w.test, { data: rows, model }, { title: "tokenise test" })
  const reference = w.reference === "none"
    ? undefined
    : step("score", {}, { model, data: w.reference === "start" ? data : test }, { title: "score reference" })
  const trained = step("train", { objective: w.objective, recipe: w.recipe }, { model, data, reference }, {
    title: "train dpo"
  })
  const metric = (name: string) => step("metric", { name }, { model: trained, data: test }, { title: name })
  return {
    trained,
    "study/dpo": step("scores", {}, Object.fromEntries(w.metrics.map((name) => [name, metric(name)])))
  }
}

export const options = (w: World) => ({
  directory: w.directory,
  numerics: w.numerics,
  code: {
    roots: [
      { name: "dsl", directory: path.join(w.directory, "code/dsl") },
      { name: "runtime", directory: path.join(w.directory, "code/runtime"), exclude: ["cli"] }
    ],
    files: { "pnpm-lock.yaml": path.join(w.directory, "lock.yaml") }
  }
})
