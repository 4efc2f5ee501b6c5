// Data and a model of a Hub, as a person uses them: refused until locked, planned offline, fetched once, held to the lock.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import { fakeHub, filesOf, gitSha1, sha256 } from "../hub/fakeHub.ts"
import { folder, model, root } from "./command.ts"

const pipeline = `
import { Dataset, Model, normalise, tokenise } from "@penchant/dsl"
const pairs = normalise.hh(Dataset.hub("Anthropic/hh-rlhf", { config: "harmless", split: "train" }))
export const tokens = tokenise(pairs, Model.hub("karpathy/tinyllamas"), { maxLength: 512 })
`

const card = `---
license: mit
configs:
- config_name: helpful
  data_dir: helpful-base
- config_name: harmless
  data_files:
  - split: train
    path: harmless-base/train*
---
`

const hh = gunzipSync(fs.readFileSync(path.join(root, "data/hh-rlhf/harmless-base/test.jsonl.gz"))).toString()
const rows = (from: number, to: number): Buffer => Buffer.from(`${hh.split("\n").slice(from, to).join("\n")}\n`)

describe("penchant lock", () => {
  it(
    "blocks what is not locked, locks, runs from the cache alone, and says what to do when the Hub moves on",
    async () => {
      const fake = await fakeHub()
      const environment: Record<string, string> = {
        HF_ENDPOINT: fake.endpoint,
        NO_PROXY: "127.0.0.1,localhost",
        HF_HUB_OFFLINE: ""
      }
      const place = folder(environment)
      try {
        environment["HF_HOME"] = path.join(place.directory, "hf")
        const train = rows(0, 8)
        const files = new Map([
          ["README.md", Buffer.from(card)],
          ["harmless-base/train.jsonl", train],
          ["helpful-base/train.jsonl", rows(8, 12)]
        ])
        const first = fake.commit("datasets/Anthropic/hh-rlhf", files)
        const stories = filesOf(model)
        const weights = fake.commit("models/karpathy/tinyllamas", stories)
        place.write("p.ts", pipeline)

        const blocked = await place.run("plan", "p.ts")
        assert.include(
          blocked.stdout,
          "is not in penchant.lock (run `penchant lock p.ts`, or `penchant run p.ts --lock`)"
        )
        assert.include(blocked.stdout, "4 blocked")
        assert.isEmpty(fake.asked, "a plan asks nothing")

        const ran = await place.run("run", "p.ts", "--lock")
        assert.strictEqual(ran.code, 0, ran.stderr)
        assert.include(ran.stdout, "4 of 4 steps ran")
        assert.include(ran.stderr, "\"event\":\"FileProgress\"")
        const lines = fs.readFileSync(path.join(place.directory, "penchant.lock"), "utf8").trim().split("\n")
        assert.deepStrictEqual(JSON.parse(lines[1]!), {
          reference: "hf://datasets/Anthropic/hh-rlhf@main?config=harmless&split=train",
          commit: first,
          file: "harmless-base/train.jsonl",
          size: train.length,
          sha256: sha256(train)
        })
        const config = stories.get("config.json")!
        assert.deepStrictEqual(JSON.parse(lines[2]!), {
          reference: "hf://models/karpathy/tinyllamas@main",
          commit: weights,
          file: "config.json",
          size: config.length,
          sha256: sha256(config),
          git: gitSha1(config)
        })
        assert.deepStrictEqual(lines.slice(2).map((line) => JSON.parse(line).file), [
          "config.json",
          "generation_config.json",
          "model.safetensors",
          "tokenizer.json",
          "tokenizer_config.json"
        ])

        // The branch moves: what is locked stays, and is in the cache.
        const moved = new Map([...files, ["harmless-base/train.jsonl", rows(0, 9)]])
        fake.commit("datasets/Anthropic/hh-rlhf", moved)
        environment["HF_HUB_OFFLINE"] = "1"
        const before = fake.asked.length
        const offline = await place.run("run", "p.ts", "--home", "other")
        assert.strictEqual(offline.code, 0, offline.stderr)
        assert.include(offline.stdout, "4 of 4 steps ran")
        assert.strictEqual(fake.asked.length, before)
        environment["HF_HUB_OFFLINE"] = ""
        const again = await place.run("lock", "p.ts")
        assert.include(again.stdout, `moved from ${first.slice(0, 8)}: 1 files are new or changed`)

        // History is rewritten: the locked commit is gone, and was never fetched.
        fake.repos.get("datasets/Anthropic/hh-rlhf")!.commits.pop()
        const drifted = await place.run("run", "p.ts")
        assert.strictEqual(drifted.code, 1)
        assert.include(drifted.stderr, "split=train/harmless-base/train.jsonl changed")
        assert.include(drifted.stderr, "what was locked is not there any more")
        assert.include(
          drifted.stderr,
          "run `penchant lock p.ts`, or `penchant run p.ts --lock`, to take what is there now"
        )
      } finally {
        await fake.close()
        place.close()
      }
    },
    120_000
  )

  it("locks what a program names as it comes to it, and says why not before", async () => {
    const fake = await fakeHub()
    const environment = { HF_ENDPOINT: fake.endpoint, NO_PROXY: "127.0.0.1,localhost", HF_HUB_OFFLINE: "" }
    const place = folder(environment)
    try {
      Object.assign(environment, { HF_HOME: path.join(place.directory, "hf") })
      fake.commit("datasets/o/n", new Map([["train.jsonl", rows(0, 3)], ["test.jsonl", rows(3, 5)]]))
      place.write(
        "a program.ts",
        `import { Dataset } from "@penchant/dsl"
import * as Effect from "effect/Effect"
export default Effect.gen(function*() {
  const { meta } = yield* Dataset.hub("o/n", { split: "train" })
  yield* Dataset.hub("o/n", { split: "test" })
  return meta
})
`
      )
      const blocked = await place.run("run", "a program.ts")
      assert.include(blocked.stderr, "run `penchant lock 'a program.ts'`")
      const locked = await place.run("lock", "a program.ts")
      assert.strictEqual(locked.code, 1)
      assert.include(locked.stderr, "known only as it runs (run `penchant run 'a program.ts' --lock`, which locks")
      const ran = await place.run("run", "a program.ts", "--lock")
      assert.strictEqual(ran.code, 0, ran.stderr)
      assert.include(ran.stdout, "{\n  \"count\": 3\n}")
      const lines = fs.readFileSync(path.join(place.directory, "penchant.lock"), "utf8").trim().split("\n").slice(1)
      assert.deepStrictEqual(lines.map((line) => JSON.parse(line).file), ["test.jsonl", "train.jsonl"])
      const again = await place.run("run", "a program.ts")
      assert.include(again.stdout, "nothing to do: all 2 steps are in the store")
    } finally {
      await fake.close()
      place.close()
    }
  }, 120_000)
})
