// The graph that the words build: what depends on what, what is identity, how points are called.
import { assert, describe, it } from "@effect/vitest"
import {
  type AnyStep,
  chosenLogProb,
  compare,
  Dataset,
  evaluate,
  Executor,
  extend,
  grid,
  HhRow,
  Model,
  normalise,
  parts,
  preferenceAccuracy,
  split,
  study,
  tokenise,
  train,
  trajectory,
  withPolicy,
  zip
} from "@penchant/dsl"
import { digest } from "@penchant/dsl/Identity"
import { recipe } from "@penchant/dsl/Recipe"
import { dil, dpo, sft, simpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"

const pairs = normalise.hh(Dataset.file("hh.jsonl", HhRow))
const halves = split(pairs, { test: 0.1 })
const base = Model.dir("model")
const data = tokenise(halves.train, base, { maxLength: 384 })
const test = tokenise(halves.test, base, { maxLength: 384 })
const start = sft({ model: base, data }, { learningRate: 1e-3 })

/** What identifies a step apart from its code: kind, parameters and the same of its inputs. */
const key = (step: AnyStep): string =>
  digest({
    kind: step.kind,
    parameters: step.parameters,
    sources: step.sources,
    inputs: Object.fromEntries(Object.entries(step.inputs).map(([name, input]) => [name, key(input)]))
  })

describe("train", () => {
  it("gets a reference of the start when the formula mentions one, and none otherwise", () => {
    const withReference = train(dpo(), { model: start, data })
    assert.deepStrictEqual(Object.keys(withReference.inputs), ["model", "data", "reference"])
    assert.strictEqual(withReference.inputs["reference"]!.kind, "score")
    assert.strictEqual(withReference.inputs["reference"]!.inputs["model"], start)
    assert.deepStrictEqual(Object.keys(train(simpo(), { model: start, data }).inputs), ["model", "data"])
    const elsewhere = train(dpo(), { model: start, data, reference: base })
    assert.strictEqual(elsewhere.inputs["reference"]!.inputs["model"], base)
  })

  it("shares the reference between every objective that has one", () => {
    const [a, b] = [train(dpo(), { model: start, data }), train(dil.lsif(), { model: start, data }, { seed: 3 })]
    assert.strictEqual(key(a.inputs["reference"]!), key(b.inputs["reference"]!))
  })

  it("is another step for another beta, recipe or formula, and the same for another name or policy", () => {
    const one = train(dpo({ beta: 0.1 }), { model: start, data })
    assert.notStrictEqual(key(one), key(train(dpo({ beta: 0.2 }), { model: start, data })))
    assert.notStrictEqual(key(one), key(train(dpo({ ratio: "mean" }), { model: start, data })))
    assert.notStrictEqual(key(one), key(train(dpo({ beta: 0.1 }), { model: start, data }, { seed: 1 })))
    assert.strictEqual(key(one), key(train({ ...dpo({ beta: 0.1 }), name: "mine" }, { model: start, data })))
    assert.strictEqual(key(one), key(withPolicy(one, { retries: 3 })))
    assert.strictEqual(key(one), key(train(dpo({ beta: 0.1 }), { model: start, data }, { learningRate: 1e-6 })))
  })

  it("refuses a recipe that is out of range, with the field", () => {
    assert.throws(() => recipe({ learningRate: -1 }), /learningRate/)
    assert.throws(() => recipe({ batchSize: 1.5 }), /batchSize/)
    assert.throws(() => recipe({ warmupRatio: 2 }), /warmupRatio/)
    assert.throws(() => recipe({ lora: { rank: 0, alpha: 1 } }), /rank/)
    assert.throws(() => recipe({ lora: { rank: 1, alpha: 1, targets: [] as unknown as [string] } }), /targets/)
    assert.throws(() => recipe({ freeze: "model.*" as unknown as [string] }), /freeze/)
    // Node runs a pipeline without checking its types: a misspelt name must not be left out in silence.
    const misspelt = { learningrate: 1 }
    assert.throws(() => recipe(misspelt as object), /learningrate/)
    const lora = { rank: 1, alpha: 1, dropout: 0.1 }
    assert.throws(() => recipe({ lora }), /dropout/)
    assert.deepStrictEqual(recipe({ lora: { rank: 4, alpha: 8 } }).lora, { rank: 4, alpha: 8, targets: "all-linear" })
    // What is not asked for is no part of a run's identity.
    assert.throws(() => recipe({ rounding: "stochastic" }), /weights in bfloat16[\s\S]*rounding/)
    assert.throws(() => recipe({ precision: "bfloat16", rounding: "up" as "nearest" }), /rounding/)
    const narrow = recipe({ precision: "bfloat16" })
    assert.deepStrictEqual(recipe({ precision: "bfloat16", rounding: "nearest" }), narrow)
    assert.strictEqual(recipe({ precision: "bfloat16", rounding: "stochastic" }).rounding, "stochastic")
    assert.notProperty(recipe(), "lora")
    assert.notProperty(recipe(), "freeze")
  })
})

describe("extend and trajectory", () => {
  it("extends the run it is given, over a new horizon", () => {
    const longer = extend(train(dpo(), { model: start, data }, { learningRate: 1e-4 }), { epochs: 3 })
    assert.deepStrictEqual(Object.keys(longer.inputs), ["trained", "data", "reference"])
    const { recipe } = longer.parameters as { recipe: { epochs: number; learningRate: number } }
    assert.deepStrictEqual([recipe.epochs, recipe.learningRate], [3, 1e-4])
  })

  it("scores every snapshot with every metric, and never feeds the test set to training", () => {
    const trained = train(dpo(), { model: start, data }, { snapshots: 3 })
    const curve = trajectory(trained, [chosenLogProb(test), preferenceAccuracy(test)])
    assert.deepStrictEqual(
      Object.keys(curve.inputs),
      [0, 1, 2].flatMap((k) => [`${k}`, `${k}/chosenLogProb`, `${k}/preferenceAccuracy`]).toSorted((a, b) =>
        Number(a.includes("/")) - Number(b.includes("/"))
      )
    )
    const reaches = (step: AnyStep, other: AnyStep): boolean =>
      key(step) === key(other) || Object.values(step.inputs).some((input) => reaches(input, other))
    assert.isTrue(reaches(curve, test))
    assert.isFalse(reaches(trained, test))
  })
})

describe("study", () => {
  const objective = [dil.lsif(), dpo({ beta: 0.1 }), dpo({ beta: 0.5 })]

  it("labels points by objective and axes, stable under reordering", () => {
    const at = (axes: Parameters<typeof grid>[0]) =>
      study(
        "s",
        grid(axes) as ReadonlyArray<{ seed: number }>,
        ({ seed }) => train(dpo(), { model: base, data }, { seed })
      )
        .points.map(({ label }) => label)
    assert.deepStrictEqual(at({ objective: objective.slice(0, 2), seed: [0, 1] }), [
      "dil-lsif seed=0",
      "dil-lsif seed=1",
      "dpo seed=0",
      "dpo seed=1"
    ])
    assert.deepStrictEqual(at({ seed: [1, 0], objective: objective.slice(2) }), [
      "dpo(beta=0.5) seed=1",
      "dpo(beta=0.5) seed=0"
    ])
    // Groups of settings are told apart by what is in them.
    assert.deepStrictEqual(
      at({ lora: [{ rank: 4, alpha: 8 }, { rank: 8, alpha: 8, targets: ["q_proj", "v_proj"] }], seed: [0] }),
      [
        "lora.rank=4 lora.alpha=8 seed=0",
        "lora.rank=8 lora.alpha=8 lora.targets=q_proj,v_proj seed=0"
      ]
    )
  })

  it("counts: a grid multiplies, a zip pairs", () => {
    assert.strictEqual(grid({ objective, seed: [0, 1, 2, 3] }).length, 12)
    assert.deepStrictEqual(zip({ a: [1, 2], b: ["x", "y"] }), [{ a: 1, b: "x" }, { a: 2, b: "y" }])
    assert.throws(() => zip({ a: [1], b: [1, 2] }), /different lengths/)
  })

  it.effect("is an Effect of its points", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const executor = Executor.of({
        run: (step) =>
          Effect.sync(() => (ran.push(step.kind), { digest: step.title, meta: { chosenLogProb: ran.length } } as never))
      })
      const sweep = study("s", grid({ objective }), ({ objective }) =>
        evaluate(train(objective, { model: start, data }), [chosenLogProb(test)]))
      const results = yield* sweep.pipe(Effect.provideService(Executor, executor))
      assert.deepStrictEqual(
        results.map(({ artifact }) =>
          artifact.meta.chosenLogProb
        ),
        [1, 2, 3]
      )
      assert.deepStrictEqual(ran, ["scores", "scores", "scores"])
      assert.strictEqual(compare(sweep, { metric: "chosenLogProb", rows: "objective" }).study.name, "s")
    }))

  it("builds ten thousand points in well under the time that running one takes", () => {
    const n = Array.from({ length: 2500 }, (_, i) => i)
    const big = study(
      "big",
      grid({ objective: [...objective, simpo()], seed: n }),
      ({ objective, seed }) => train(objective, { model: start, data }, { seed })
    )
    assert.strictEqual(big.points.length, 10_000)
    assert.strictEqual(new Set(big.points.map(({ label }) => label)).size, 10_000)
  })
})

describe("parts", () => {
  it("names its parts, each knowing all of them", () => {
    const named = parts(pairs, { sft: 10, test: 0.5 }, { seed: 4 })
    assert.deepStrictEqual(named.sft.parameters, {
      parts: [{ name: "sft", size: 10 }, { name: "test", size: 0.5 }],
      part: "sft",
      by: "firstTurn",
      seed: 4
    })
  })
})
