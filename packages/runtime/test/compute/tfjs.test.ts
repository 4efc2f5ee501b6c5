// The tfjs engine on its wasm backend: what every float32 engine must do, each operation and its gradient against the
// reference kernels, the same bits in every run, and what it frees.
import { assert, describe, it } from "@effect/vitest"
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import { NoRoom } from "../../src/compute/Backend.ts"
import type { Batch } from "../../src/compute/Batch.ts"
import { gradient } from "../../src/compute/gradient.ts"
import { builder, type Graph, type Input, type Value } from "../../src/compute/Graph.ts"
import { type Environment, run, tableOf } from "../../src/compute/reference/run.ts"
import { floats as exact, ints } from "../../src/compute/reference/Tensor.ts"
import { start } from "../../src/compute/tfjs/backend.ts"
import { type Choice, choose } from "../../src/compute/tfjs/choice.ts"
import { moduleOf } from "../../src/compute/tfjs/heap.ts"
import { load } from "../../src/compute/tfjs/load.ts"
import { floats, type Tensor } from "../../src/compute/tfjs/Lowering.ts"
import { startRun, tablesOf } from "../../src/compute/tfjs/Run.ts"
import { modelOf, random, readJson, references, stories, tinyLlama } from "./fixtures.ts"
import { batchOf, float32, float32Engine, groupsOf, largest, pairs } from "./float32Engine.ts"
import { batch as fields, type Case, cases, fill, sizes } from "./operationCases.ts"

const backend = await start({ backend: "wasm" })
const tf = await load(choose("wasm") as Choice)
float32Engine(backend)

const batch: Batch = { ...fields, groups: sizes.G, branches: 2, lengths: Int32Array.of(3, 1, 1, 2) }

/** Largest |tfjs - reference| over the output and the gradients of all float inputs. */
const discrepancy = (build: Case, seed: number): number => {
  const next = random(seed)
  const g = builder()
  const wants: Array<Input> = []
  const output = build(g, (name, ...shape) => {
    const input = g.weight(name, shape as ReadonlyArray<number>)
    wants.push(input)
    return input
  })
  const graph = g.finish([output])
  const { graph: backward, saved } = gradient(graph, output, wants)
  const environment: Environment = new Map()
  const given = new Map<Value, Tensor>()
  let cotangent: Input | undefined
  for (const input of new Set<Input>([...graph.inputs, ...backward.inputs])) {
    const { source } = input
    if (source.kind === "batch") environment.set(input, ints(fields[source.field]))
    else if (source.kind === "table") {
      environment.set(input, exact([sizes.P, source.frequencies.length], tableOf(source, sizes.P)))
    } else {
      const value = fill(input.shape, next)
      value.data.set(Float32Array.from(value.data))
      environment.set(input, value)
      given.set(input, floats(tf.tensor(Float32Array.from(value.data), [...value.shape], "float32")))
      if (source.kind === "cotangent") cotangent = input
    }
  }
  const values = [output, ...backward.outputs]
  run(graph, environment, [output, ...saved], sizes)
  run(backward, environment, backward.outputs, sizes)
  const whole: Graph = {
    inputs: [...new Set([...graph.inputs, ...backward.inputs])],
    nodes: [...graph.nodes, ...backward.nodes],
    outputs: values
  }
  const tables = tablesOf(tf)
  const ours = startRun(tf, whole, batch, given, tables)
  assert.isDefined(cotangent)
  ours.through(whole, values)
  const errors = values.map((value) => {
    const expected = environment.get(value)!.data
    const got = ours.read(value)
    assert.strictEqual(got.length, expected.length)
    return largest(got.map((x, i) => x - expected[i]!))
  })
  ours.close()
  tables.close()
  for (const { held } of given.values()) tf.dispose([...held])
  return Math.max(...errors)
}

describe("operations and their gradients equal the reference kernels", () => {
  for (const [operation, builds] of Object.entries(cases)) {
    it(`${operation}`, () => {
      const before = tf.memory().numTensors
      builds.forEach((build, i) => assert.isBelow(discrepancy(build, 20 + i), 5e-6))
      assert.strictEqual(tf.memory().numTensors, before)
    })
  }
})

describe("a session", () => {
  it("keeps no tensor once it is closed, and none per step, whatever it did", async () => {
    const before = tf.memory().numTensors
    const session = await backend.open(float32(tinyLlama(3)), {})
    const batch = batchOf(groupsOf(3, 9))
    const update = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 1 }
    const steps: Array<number> = []
    for (let step = 0; step < 3; step++) {
      await session.forward(batch, { recompute: step === 1 })
      await session.backward(Float64Array.from(batch.targets, () => 1))
      await session.forward(batch)
      await session.score(batch)
      await session.forward(batch)
      await session.zeroGradients()
      await session.forward(batch)
      await session.backward(Float64Array.from(batch.targets, () => 1))
      await session.update(update)
      steps.push(tf.memory().numTensors)
    }
    assert.strictEqual(steps[1], steps[0])
    assert.strictEqual(steps[2], steps[0])
    const wrong = { ...batch, targets: batch.targets.map(() => 10_000) }
    assert.match(await session.score(wrong).then(() => "scored", String), /token 10000 is outside the vocabulary of 23/)
    assert.match(await session.backward(new Float64Array(1)).then(() => "ran", String), /without a forward/)
    assert.strictEqual(tf.memory().numTensors, steps[0])
    await session.close()
    assert.strictEqual(tf.memory().numTensors, before)
  })

  it("gives the same bits in every run and session", async () => {
    const stored = pairs(readJson(new URL("training.json", references)).training_pairs)
    const batch = batchOf(stored.slice(0, 2))
    const results: Array<{ readonly logProbs: Float64Array; readonly gradients: Float32Array | Float64Array }> = []
    for (let i = 0; i < 2; i++) {
      const session = await backend.open(modelOf(stories), {})
      await session.forward(batch, { recompute: i === 1 })
      await session.backward(Float64Array.from(batch.targets, (_, n) => Math.sin(n)))
      results.push({ logProbs: await session.score(batch), gradients: await session.gradients() })
      await session.close()
    }
    assert.isAbove(largest(results[0]!.gradients), 1)
    assert.deepStrictEqual(results[1], results[0])
  })

  it("says that there is no room, frees what the run made, and goes on when there is", async () => {
    const wasm = moduleOf(tf.backend() as BackendWasm)
    const batch = batchOf(pairs(readJson(new URL("training.json", references)).training_pairs).slice(0, 2))
    const session = await backend.open(modelOf(stories), {})
    const expected = await session.score(batch)
    const before = tf.memory().numTensors
    // Takes all that wasm can address; nothing is written, so that the machine gives hardly any of it.
    const taken: Array<number> = []
    for (let size = 2 ** 28; size >= 2 ** 16; size /= 2) {
      try {
        for (;;) taken.push(wasm._malloc(size))
      } catch (error) {
        assert.instanceOf(error, NoRoom)
      }
    }
    const refused = await session.forward(batch).then(() => "ran", (error: unknown) => error)
    assert.instanceOf(refused, NoRoom)
    assert.strictEqual(refused.room.totalBytes, 2 ** 32)
    assert.strictEqual(tf.memory().numTensors, before)
    for (const at of taken) wasm._free(at)
    assert.deepStrictEqual(await session.score(batch), expected)
    await session.close()
  })
})
