// The pipelines that name real data and models of the Hub, and small ones of the same kinds for a fake Hub to serve.
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
      fake.commit(
        "datasets/HuggingFaceH4/ultrafeedback_binarized",
        new Map([
          ...[...preferences].map(([name, bytes]) => [`data/${name}`, bytes] as const),
          ["data/train_sft-00000-of-00001.parquet", Buffer.from("never asked for")]
        ])
      )
      fake.commit("models/alignment-handbook/zephyr-7b-sft-full", tiny("mistral"))
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
