// The pipelines that name real data and models of the Hub, unedited, against a Hub that serves small ones of the same kinds:
// planned offline from a lock, killed on the way, and run to the end.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import { type FakeHub, fakeHub, filesOf } from "../hub/fakeHub.ts"
import { document, folder, model, root } from "./command.ts"

const references = path.join(root, "packages/runtime/test/references")

/** Reference weights of a family, with a tokenizer of as many tokens, which has a chat template. */
const tiny = (family: string): Map<string, Buffer> => {
  const weights = filesOf(path.join(references, "models", family))
  return new Map([
    ...[...filesOf(model)].filter(([name]) => name.startsWith("tokenizer")),
    ["config.json", weights.get("config.json")!],
    ["model.safetensors", weights.get("model.safetensors")!],
    ["pytorch_model.bin", Buffer.from("never asked for")]
  ])
}

const hh = gunzipSync(fs.readFileSync(path.join(root, "data/hh-rlhf/harmless-base/test.jsonl.gz"))).toString().split(
  "\n"
)
const rows = (from: number, to: number): Buffer => gzipSync(`${hh.slice(from, to).join("\n")}\n`)
const preferences = filesOf(path.join(references, "ultrafeedback"))

const pipelines = {
  "hh-pythia": {
    results: 16,
    kill: "\"event\":\"FileProgress\"",
    serve: (fake: FakeHub) => {
      fake.commit(
        "datasets/Anthropic/hh-rlhf",
        new Map([
          ["README.md", Buffer.from("# HH")],
          ["harmless-base/train.jsonl.gz", rows(0, 12)],
          ["harmless-base/test.jsonl.gz", rows(12, 18)],
          ["helpful-base/train.jsonl.gz", Buffer.from("never asked for")]
        ])
      )
      fake.commit("models/EleutherAI/pythia-160m", tiny("gpt_neox"))
    }
  },
  "ultrafeedback-mistral": {
    results: 6,
    kill: "\"unit\":\"step\"",
    serve: (fake: FakeHub) => {
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
}

describe("pipelines of the Hub", () => {
  for (const [name, { kill, results, serve }] of Object.entries(pipelines)) {
    it(`${name} is planned offline from its lock, survives kill -9, and ends`, async () => {
      const fake = await fakeHub({ large: 20_000 })
      const environment: Record<string, string> = { HF_ENDPOINT: fake.endpoint, NO_PROXY: "127.0.0.1,localhost" }
      const place = folder(environment)
      try {
        environment["HF_HOME"] = path.join(place.directory, "hf")
        serve(fake)
        const file = path.join(root, "pipelines", `${name}.ts`)
        const locked = await place.run("lock", file)
        assert.strictEqual(locked.code, 0, locked.stderr)
        const asked = fake.asked.length
        const planned = await place.run("plan", file)
        assert.match(planned.stdout, /\d+ steps: 0 unchanged, \d+ to run, 0 depending on results\n/)
        assert.strictEqual(fake.asked.length, asked, "a plan asks nothing")
        const running = place.start("run", file, "--set", "checkpointEvery=1")
        await running.said(kill)
        running.child.kill("SIGKILL")
        await running.ended
        if (kill.includes("step")) environment["HF_HUB_OFFLINE"] = "1"
        const ended = await place.run("run", file, "--json")
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.lengthOf(document(ended).results, results)
        assert.isFalse(
          fake.asked.some(({ path }) => /\.bin$|train_sft|helpful/.test(path)),
          "only what is named is fetched"
        )
      } finally {
        await fake.close()
        place.close()
      }
    }, 180_000)
  }
})
