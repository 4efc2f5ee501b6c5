// The pipelines that name real data and models of the Hub, and small ones of the same kinds for a fake Hub to serve.
import { bbhSubsets } from "@penchant/dsl/BenchmarkRows"
import * as fs from "node:fs"
import * as path from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import { type FakeHub, fakeHub, filesOf } from "../hub/fakeHub.ts"
import { folder, model, root } from "./command.ts"

const references = path.join(root, "packages/runtime/test/references")

/** Reference weights of a family, with a tokenizer of as many tokens, which has a chat template. */
const tiny = (family: string): Map<string, Buffer> => {
  const weights = filesOf(path.join(references, "models", family))
  // As many positions as the real models have at least; rotary embeddings keep no weights for them.
  const config = { ...JSON.parse(weights.get("config.json")!.toString()), max_position_embeddings: 2048 }
  return new Map([
    ...[...filesOf(model)].filter(([name]) => name.startsWith("tokenizer")),
    ["config.json", Buffer.from(JSON.stringify(config))],
    ["model.safetensors", weights.get("model.safetensors")!],
    ["pytorch_model.bin", Buffer.from("never asked for")]
  ])
}

const hh = gunzipSync(fs.readFileSync(path.join(root, "data/hh-rlhf/harmless-base/test.jsonl.gz"))).toString().split(
  "\n"
)
const rows = (from: number, to: number): Buffer => gzipSync(`${hh.slice(from, to).join("\n")}\n`)
export const preferences = filesOf(path.join(references, "ultrafeedback"))

const servePreferences = (fake: FakeHub) =>
  fake.commit(
    "datasets/HuggingFaceH4/ultrafeedback_binarized",
    new Map([
      ...[...preferences].map(([name, bytes]) => [`data/${name}`, bytes] as const),
      ["data/train_sft-00000-of-00001.parquet", Buffer.from("never asked for")]
    ])
  )

const questions = filesOf(path.join(references, "benchmarks"))

/** Config -> split -> the file of the repository. */
type Layout = Readonly<Record<string, Readonly<Record<string, string>>>>

/** A README as the Hub's data sets have it. */
const readme = (layout: Layout): string =>
  `---\nconfigs:\n${
    Object.entries(layout).map(([config, splits]) =>
      `- config_name: ${config}\n  data_files:\n${
        Object.entries(splits).map(([split, file]) => `  - split: ${split}\n    path: ${file}\n`).join("")
      }`
    ).join("")
  }---\n# Rows\n`

const parquet = (dir: string, ...splits: ReadonlyArray<string>) =>
  Object.fromEntries(splits.map((split) => [split, `${dir}/${split}-00000-of-00001.parquet`]))
const parquets = (dirs: ReadonlyArray<string>, ...splits: ReadonlyArray<string>): Layout =>
  Object.fromEntries(dirs.map((dir) => [dir, parquet(dir, ...splits)]))

const subjects = "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus"

/** Benchmarks as they lie on the Hub, a few rows of the real columns in every file that is asked for. */
const serveQuestions = (fake: FakeHub): void => {
  const layouts: Readonly<Record<string, readonly [string, Layout]>> = {
    "TIGER-Lab/MMLU-Pro": ["mmlu-pro.parquet", { default: parquet("data", "test", "validation") }],
    "SaylorTwift/bbh": ["bbh.parquet", parquets([...bbhSubsets, "dyck_languages", "word_sorting"], "test")],
    "TAUR-Lab/MuSR": ["musr.csv", {
      default: {
        murder_mysteries: "murder_mystery.csv",
        object_placements: "object_placements.csv",
        team_allocation: "team_allocation.csv"
      }
    }],
    "DigitalLearningGmbH/MATH-lighteval": [
      "math.parquet",
      { default: parquet("data", "train", "test"), ...parquets(subjects.split(" "), "train", "test") }
    ],
    "openai/gsm8k": ["gsm8k.parquet", parquets(["main", "socratic"], "train", "test")],
    "allenai/ai2_arc": ["arc.parquet", parquets(["ARC-Challenge", "ARC-Easy"], "train", "test", "validation")]
  }
  for (const [id, [rows, layout]] of Object.entries(layouts)) {
    const files = Object.values(layout).flatMap((splits) => Object.values(splits))
    fake.commit(
      `datasets/${id}`,
      new Map([
        ["README.md", Buffer.from(readme(layout))],
        ...files.map((file) => [file, questions.get(rows)!] as const),
        ...(id === "TAUR-Lab/MuSR" ? [["all.csv", Buffer.from("never asked for")] as const] : [])
      ])
    )
  }
}

interface HubPipeline {
  /** The result that is published. */
  readonly published: string
  /** `train`: rows for training; 64 of HH are a batch. */
  readonly serve: (fake: FakeHub, train?: number) => void
}

export const hubPipelines = {
  "hh-pythia": {
    published: "objectives/dpo seed=0",
    serve: (fake, train = 12) => {
      fake.commit(
        "datasets/Anthropic/hh-rlhf",
        new Map([
          ["README.md", Buffer.from("# HH")],
          ["harmless-base/train.jsonl.gz", rows(0, train)],
          ["harmless-base/test.jsonl.gz", rows(train, train + 6)],
          ["helpful-base/train.jsonl.gz", Buffer.from("never asked for")]
        ])
      )
      fake.commit("models/EleutherAI/pythia-160m", tiny("gpt_neox"))
    }
  },
  "ultrafeedback-mistral": {
    published: "objectives/dpo(beta=0.01)",
    serve: (fake) => {
      servePreferences(fake)
      fake.commit("models/alignment-handbook/zephyr-7b-sft-full", tiny("mistral"))
    }
  },
  "paper-benchmarks": {
    published: "paper/dpo",
    serve: (fake) => {
      servePreferences(fake)
      serveQuestions(fake)
      fake.commit("models/HuggingFaceH4/mistral-7b-sft-beta", tiny("mistral"))
    }
  }
} satisfies Record<string, HubPipeline>
export type HubPipelineName = keyof typeof hubPipelines

/** A working directory beside a fake Hub that serves the pipeline's data and model. Commands get `environment`, which may be changed. */
export const hubScene = async (name: HubPipelineName, train?: number) => {
  const { serve }: HubPipeline = hubPipelines[name]
  const fake = await fakeHub({ large: 20_000 })
  const environment: Record<string, string> = { HF_ENDPOINT: fake.endpoint, NO_PROXY: "127.0.0.1,localhost" }
  const place = folder(environment)
  environment["HF_HOME"] = path.join(place.directory, "hf")
  serve(fake, train)
  // What a pipeline names beside the Hub's.
  fs.symlinkSync(path.join(root, "data"), path.join(place.directory, "data"))
  return {
    fake,
    environment,
    place,
    file: path.join(root, "pipelines", `${name}.ts`),
    close: async () => {
      await fake.close()
      place.close()
    }
  }
}
export type HubScene = Awaited<ReturnType<typeof hubScene>>
