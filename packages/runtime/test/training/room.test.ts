// A device that is too small: micro-batches shrink until they fit, the numbers stay those of the run that never ran out, and
// what cannot fit says which row it is.
import { assert, describe, it } from "@effect/vitest"
import { batchMean, minus, square, times } from "@penchant/dsl/Formula"
import { logRatio, type Objective, objective } from "@penchant/dsl/Objective"
import { recipe } from "@penchant/dsl/Recipe"
import { dil, dpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { DeviceState, Numerics } from "../../src/compute/Engine.ts"
import { planned } from "../../src/compute/footprint.ts"
import type { Event } from "../../src/platform/Progress.ts"
import { planFit } from "../../src/training/fit.ts"
import { microBatches, rowBudget, rowsOf } from "../../src/training/microBatches.ts"
import type { Training } from "../../src/training/train.ts"
import { forwardOf, tinyLlama } from "../compute/fixtures.ts"
import { bigram, type Options, pairs, trainBigram } from "./bigram.ts"
import { scratch } from "./scratch.ts"

const data = pairs(24)
const start = bigram()
const rows = data.ids.map((_, g) => rowsOf(data, g, [0, 1]))
const largest = Math.max(...rows)

const run = (
  directory: string,
  engineOptions: Options,
  { objective = dpo(), ...rest }: Partial<Training> & {
    readonly events?: Array<Event>
    readonly objective?: Objective
  } = {}
) =>
  trainBigram({
    data,
    model: start,
    objective,
    recipe: recipe({ batchSize: 8, epochs: 2, learningRate: 0.05, warmupRatio: 0 }),
    policy: { checkpointEvery: 1 },
    scratch: directory,
    identity: { run: "room" },
    ...rest
  }, engineOptions)

const warnings = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  events.flatMap((event) => (event._tag === "Warning" && event.message.includes("did not fit") ? [event.message] : []))

const margin = minus(logRatio("chosen"), logRatio("rejected"))
const coupled = objective("coupled", {}, () => square(minus(minus(margin, 1), times(0.5, batchMean(margin)))))

describe("a device without room", () => {
  for (
    const [name, objective, fused] of [
      ["on the host", dil.lsif(), false],
      ["inside the engine", dpo(), true],
      ["coupled over the batch", coupled, false]
    ] as const
  ) {
    it.effect(`changes no number of a run with its loss ${name}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const whole = yield* run(yield* scratch, { fused }, { objective })
        const events: Array<Event> = []
        const cut = yield* run(yield* scratch, { fused, room: largest + 3 }, { objective, events })
        assert.isAbove(warnings(events).length, 1)
        assert.match(warnings(events)[0]!, /^step 1: \d+ tokens did not fit .*full.*; going on with at most \d+ in a/)
        assert.include(warnings(events)[0]!, "the result is seeded")
        assert.isUndefined(whole.cursor.fit)
        assert.isAtMost(cut.cursor.fit!.rows, largest + 3)
        cut.model.parameters.forEach((value, i) => assert.closeTo(value, whole.model.parameters[i]!, 1e-12))
        cut.cursor.metrics.forEach((line, i) => {
          assert.closeTo(line.loss, whole.cursor.metrics[i]!.loss, 1e-12)
          assert.closeTo(line.grad_norm, whole.cursor.metrics[i]!.grad_norm, 1e-12)
        })
      })))
  }

  it.effect("counts no gradient twice when a later micro-batch of a step is the one that does not fit", () =>
    Effect.scoped(Effect.gen(function*() {
      const groups = [1, 2]
      const whole = yield* run(yield* scratch, { groups })
      const events: Array<Event> = []
      // A step is 4 micro-batches of 2 pairs: forward, backward, forward, backward, ...; the third backward is refused.
      const cut = yield* run(yield* scratch, { groups, fullAt: 6 }, { events })
      assert.strictEqual(warnings(events).length, 1)
      cut.model.parameters.forEach((value, i) => assert.closeTo(value, whole.model.parameters[i]!, 1e-12))
    })))

  it.effect("gives up on a row that does not fit alone, with its id, its tokens and the bytes", () =>
    Effect.scoped(Effect.gen(function*() {
      const failure = yield* Effect.flip(run(yield* scratch, { room: largest - 1 }))
      assert.strictEqual(failure._tag, "RowTooLarge")
      const at = rows.indexOf(largest)
      assert.deepInclude(failure, { row: data.ids[at], tokens: largest, askedBytes: 8 * largest, freeBytes: 10 })
      assert.include(failure.message, `row row-${at}: its ${largest} tokens do not fit`)
    })))

  it.live("that is known is tried with the heaviest micro-batch before the first step, whose gradients are dropped", () =>
    Effect.scoped(Effect.gen(function*() {
      const device: DeviceState = {
        name: "made up",
        kind: "cuda",
        totalBytes: 1e9,
        freeBytes: 1e9,
        peakBytes: 5e8,
        liveTensors: 0
      }
      const asked: Array<number> = []
      const events: Array<Event> = []
      const plain = yield* run(yield* scratch, { groups: [1] })
      const options = { groups: [1], device, onBackward: (of: number) => void asked.push(of) }
      const rehearsed = yield* run(yield* scratch, options, { events })
      assert.strictEqual(asked[0], largest)
      assert.strictEqual(asked.length, 1 + 2 * data.ids.length)
      assert.deepStrictEqual(rehearsed.model.parameters, plain.model.parameters)
      // Before the first step, so no checkpoint is there yet.
      const directory = yield* scratch
      const failure = yield* Effect.flip(run(directory, { ...options, room: largest - 1 }))
      assert.strictEqual(failure._tag, "RowTooLarge")
      assert.isFalse(fs.existsSync(path.join(directory, "checkpoints")))
      const last = events.findLast((event) => event._tag === "StepProgress")!
      assert.strictEqual(last.peakBytes, 5e8)
      // A device that nobody has listed has no utilisation.
      assert.notProperty(last, "mfu")
      assert.isAbove(rehearsed.speed!.fedPerSecond, rehearsed.speed!.tokensPerSecond / 2)
    })))

  it.effect("that is lost leaves the last checkpoint, from which the same command goes on", () =>
    Effect.scoped(Effect.gen(function*() {
      const whole = yield* run(yield* scratch, { groups: [1, 2] })
      const directory = yield* scratch
      // 4 micro-batches and an update are 9 runs a step; the fourth step is under way.
      const failure = yield* Effect.flip(run(directory, { groups: [1, 2], lostAt: 30 }))
      assert.strictEqual(failure._tag, "EngineLost")
      assert.include(failure.message, "run again to continue from the last checkpoint")
      assert.include(fs.readdirSync(path.join(directory, "checkpoints")), "step-000000003")
      const rest = yield* run(directory, { groups: [1, 2] })
      assert.deepStrictEqual(rest.model.parameters, whole.model.parameters)
      assert.deepStrictEqual(rest.cursor, whole.cursor)
    })))
})

describe("the plan of micro-batches", () => {
  const seeded: Numerics = {
    engine: "torch",
    version: "1",
    compute: "float32",
    loss: "host",
    determinism: "seeded",
    groups: []
  }
  const graphs = planned(forwardOf(tinyLlama(1, { num_hidden_layers: 8 })))
  const many = pairs(2000)
  const fitIn = (freeBytes: number, numerics: Numerics = seeded) =>
    planFit(graphs, numerics, many, many.sides, 2000, {
      name: "made up",
      kind: "cuda",
      totalBytes: 1e12,
      freeBytes,
      peakBytes: 0,
      liveTensors: 0
    })

  it("takes what memory allows where order may change; where it may not, recomputes the same rows", () => {
    const bitwise = { ...seeded, determinism: "bitwise" } as const
    assert.deepStrictEqual(fitIn(1e9, bitwise), { rows: rowBudget, recompute: false })
    assert.deepStrictEqual(fitIn(2e7, bitwise), { rows: rowBudget, recompute: true })
    assert.deepStrictEqual(planFit(graphs, seeded, many, many.sides, 2000, undefined), {
      rows: rowBudget,
      recompute: false
    })
    const roomy = fitIn(1e12)
    assert.isAbove(roomy.rows, rowBudget)
    assert.isFalse(roomy.recompute)
    const [ample, scarce] = [fitIn(9e7), fitIn(2e7)]
    assert.isTrue(ample.rows < roomy.rows && ample.rows >= rowBudget && !ample.recompute)
    // Too little for 4096 rows whole: blocks are recomputed, and more rows fit so than did before.
    assert.isTrue(scarce.recompute)
    assert.isAbove(scarce.rows, ample.rows * 2e7 / 9e7)
    for (const piece of microBatches(many, Int32Array.from(many.ids, (_, g) => g), many.sides, [], ample.rows)) {
      assert.isAtMost([...piece].reduce((sum, g) => sum + rowsOf(many, g, [0, 1]), 0), ample.rows)
    }
  })
})
