// A trained model leaves the store as a folder that other tools load.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { loadModel } from "../../src/model/load.ts"
import { document, folder, jsonl, model, pipeline } from "./command.ts"

describe("export", () => {
  const { close, directory, run, write } = folder()
  beforeAll(() => {
    write("rows.jsonl", jsonl)
    write("p.ts", pipeline({ objectives: "[dil.lsif()]", epochs: 1 }))
  })
  afterAll(close)

  it("writes weights, config and tokenizer, and says what it cannot write", async () => {
    const { steps } = document(await run("run", "p.ts", "--json"))
    const trained = steps.find(({ kind }) => kind === "train")!
    const exported = await run("export", trained.label, "out")
    assert.strictEqual(exported.code, 0, exported.stderr)
    assert.match(exported.stdout, /wrote 5 files, 1\.1 MB, to out\n$/)
    const out = path.join(directory, "out")
    assert.deepStrictEqual(fs.readdirSync(out).toSorted(), [
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json"
    ])
    const [before, after] = await Promise.all([model, out].map((at) => Effect.runPromise(loadModel(at))))
    assert.deepStrictEqual(after!.names, before!.names)
    assert.notDeepEqual(after!.parameters, before!.parameters)
    // Numbers as they were spelled: transformers tells 10000.0 from 10000.
    const numbers = (at: string) => fs.readFileSync(path.join(at, "config.json"), "utf8").match(/: -?[\d.e-]+/g)
    assert.deepStrictEqual(numbers(out), numbers(model))

    // As another type, in shards; a published folder the same.
    const form = ["--dtype", "bfloat16", "--max-shard-size", "300KB"]
    for (const args of [["export", trained.label, "half"], ["publish", trained.label, "./card"]]) {
      const halved = await run(...args, ...form)
      assert.strictEqual(halved.code, 0, halved.stderr)
      const files = fs.readdirSync(path.join(directory, args[2]!)).filter((name) => name.startsWith("model"))
      assert.deepStrictEqual(files.toSorted(), [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json"
      ])
      const { config, parameters } = await Effect.runPromise(loadModel(path.join(directory, args[2]!)))
      assert.strictEqual((config as Record<string, unknown>)["torch_dtype"], "bfloat16")
      const worst = Float32Array.from(parameters).reduce(
        (most, x, i) => Math.max(most, Math.abs(x / after!.parameters[i]! - 1)),
        0
      )
      assert.isBelow(worst, 2 ** -8)
    }
    assert.include((await run("export", trained.label, "sized", "--max-shard-size", "big")).stderr, "big is no size")

    const again = await run("export", trained.outputs[0]!.slice(0, 12), "out")
    assert.strictEqual(again.code, 1)
    assert.include(again.stderr, "out is not empty; name a folder that is not there yet")
    const adapter = await run("export", trained.label, "adapter", "--adapter")
    assert.include(adapter.stderr, "has no adapter; train with `lora` in the recipe")
    const scores = await run("export", "small/dil-lsif", "scores")
    assert.include(scores.stderr, "CannotExport: small/dil-lsif: is Scores, no model; it was made with ")
    assert.include(scores.stderr, trained.label)
    assert.deepStrictEqual(fs.readdirSync(directory).filter((name) => /part|adapter|scores/.test(name)), [])
  })
})
