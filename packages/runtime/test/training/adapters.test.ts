// The loop with adapters, on the real engine: what a checkpoint holds, and that a run goes on from it bit for bit.
import { assert, it } from "@effect/vitest"
import { recipe } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { Engine } from "../../src/compute/Engine.ts"
import { layer } from "../../src/compute/Engines.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { scoreAll } from "../../src/evaluation/score.ts"
import { trainable } from "../../src/model/trainable.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { train } from "../../src/training/train.ts"
import { tinyLlama } from "../compute/fixtures.ts"
import { pairs } from "./bigram.ts"
import { scratch } from "./scratch.ts"

const options = recipe({ learningRate: 0.02, batchSize: 3, epochs: 2, lora: { rank: 2, alpha: 4 } })
const start = tinyLlama(1)
const base = { ...start, parameters: Float32Array.from(start.parameters) }
const model = Result.getOrThrow(trainable(base, options))
const data = pairs(7)

it.live("a run with adapters checkpoints them alone, and goes on from there to the same bits", () =>
  Effect.scoped(Effect.gen(function*() {
    const directory = yield* scratch
    const { numerics, open } = yield* Engine
    const training = {
      label: "adapters",
      model,
      data,
      reference: yield* Effect.flatMap(open(base), (session) => scoreAll(session, numerics, data)),
      // The start's own weights: the first batch is held to them.
      referenceIsStart: true,
      objective: dpo(),
      recipe: options,
      policy: { checkpointEvery: 1 },
      scratch: directory,
      identity: { run: "adapters" }
    }
    const straight = yield* train(training)
    assert.strictEqual(straight.cursor.step, 6)
    assert.closeTo(straight.cursor.metrics[0]!.loss, Math.LN2, 1e-6)
    assert.isBelow(straight.cursor.metrics.at(-1)!.loss, 0.69)

    const checkpoints = path.join(directory, "checkpoints")
    const [newest] = fs.readdirSync(checkpoints).toSorted().toReversed()
    assert.strictEqual(newest, "step-000000005")
    const state = fs.readFileSync(path.join(checkpoints, newest!, "state.safetensors"))
    const names = Object.keys(Result.getOrThrow(decodeSafetensors(state, newest!)).tensors)
    // 2 layers of 7 linear ones, A and B: weights and two moments of each.
    assert.strictEqual(names.length, 3 * 2 * 7 * 2)
    assert.isTrue(names.every((name) => /^(weights|m|v)\/.*\.lora_[AB]\.weight$/.test(name)))

    const resumed = yield* train(training)
    assert.deepStrictEqual(resumed.model, straight.model)
    assert.deepStrictEqual(resumed.optimiser, straight.optimiser)
    assert.deepStrictEqual(resumed.cursor, straight.cursor)
    fs.rmSync(path.join(checkpoints, newest!), { recursive: true })
    assert.deepStrictEqual((yield* train(training)).model, straight.model)
  })).pipe(Effect.provide(Layer.merge(layer("onnx"), Progress.silent))))
