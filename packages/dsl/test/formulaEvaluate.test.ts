// Evaluation over a batch: numbers worked by hand, what is shared between runs, and what a wrong batch is told.
import { assert, describe, it } from "@effect/vitest"
import { compile, evaluate, type Inputs } from "@penchant/dsl/Evaluate"
import * as F from "@penchant/dsl/Formula"
import { logRatio, meanLogRatio } from "@penchant/dsl/Objective"
import { batch, formula, parameters, random } from "./formulaGenerator.ts"

/** Three rows; chosen answers of 2, 1 and 3 tokens, rejected ones of 1 token each. */
const inputs: Inputs = {
  rows: 3,
  sides: {
    chosen: {
      lengths: Int32Array.of(2, 1, 3),
      policy: Float64Array.of(-1, -2, -0.5, -1, -1, -2),
      reference: Float64Array.of(-2, -2, -1, -1, -2, -4)
    },
    rejected: {
      lengths: Int32Array.of(1, 1, 1),
      policy: Float64Array.of(-3, -1, -2),
      reference: Float64Array.of(-1, -1, -1)
    }
  },
  columns: { weight: Float64Array.of(10, 20, 30) }
}
const run = (loss: F.Formula<F.Need>, values: Readonly<Record<string, number>> = {}, at: Inputs = inputs) =>
  compile(loss.node, values).run(at)
/** To 12 decimals. */
const rounded = (values: Float64Array | undefined): ReadonlyArray<number> =>
  [...(values ?? [])].map((value) => Math.round(value * 1e12) / 1e12)

describe("values and coefficients, worked by hand", () => {
  it("sums and means over the tokens of each row", () => {
    // log-ratios: (-3) - (-4) = 1, (-0.5) - (-1) = 0.5, (-4) - (-7) = 3
    assert.deepStrictEqual(rounded(run(logRatio("chosen")).value), [1, 0.5, 3])
    assert.deepStrictEqual(rounded(run(meanLogRatio("chosen")).value), [0.5, 0.5, 1])
    assert.deepStrictEqual(rounded(run(meanLogRatio("chosen")).coefficients.chosen), [
      0.5,
      0.5,
      1,
      0.333333333333,
      0.333333333333,
      0.333333333333
    ])
  })
  it("one coefficient per token where tokens are transformed", () => {
    const result = run(F.sum(F.square(F.policy("chosen"))))
    assert.deepStrictEqual(rounded(result.value), [5, 0.25, 6])
    assert.deepStrictEqual(rounded(result.coefficients.chosen), [-2, -4, -1, -2, -2, -4])
  })
  it("columns, parameters and constants", () => {
    const loss = F.times(F.plus(F.column("weight"), F.parameter("a")), F.sum(F.policy("rejected")))
    const result = run(loss, { a: 1 })
    assert.deepStrictEqual(rounded(result.value), [-33, -21, -62])
    assert.deepStrictEqual(rounded(result.coefficients.rejected), [11, 21, 31])
  })
  it("a batch mean couples the rows", () => {
    // the log-ratios of the chosen average 1.5; d/dw_j sum_i (mean)^2 = 2 mean
    const result = run(F.square(F.batchMean(logRatio("chosen"))))
    assert.deepStrictEqual(rounded(result.value), [2.25, 2.25, 2.25])
    assert.deepStrictEqual(rounded(result.coefficients.chosen), [3, 3, 3, 3, 3, 3])
  })
  it("a sort gives each row the weight of its place", () => {
    // chosen log-ratios 1, 0.5, 3 sort to 0.5, 1, 3; weights 10, 20, 30 go to rows 1, 0, 2
    const result = run(F.times(F.column("weight"), F.batchSort(logRatio("chosen"))))
    assert.deepStrictEqual(rounded(result.value), [5, 20, 90])
    assert.deepStrictEqual(rounded(result.coefficients.chosen), [20, 20, 10, 30, 30, 30])
  })
  it("equal values keep their order in a sort", () => {
    const result = run(F.times(F.column("weight"), F.batchSort(meanLogRatio("chosen"))))
    assert.deepStrictEqual(rounded(result.value), [5, 10, 30])
    assert.deepStrictEqual(rounded(result.coefficients.chosen), [5, 5, 20, 10, 10, 10])
  })
  it("a running mean goes on from its state, before its use", () => {
    const mean = F.runningMean("delta", logRatio("chosen"))
    const first = run(F.minus(logRatio("chosen"), mean))
    assert.deepStrictEqual(rounded(first.value), [-0.5, -1, 1.5])
    assert.deepStrictEqual(first.state, { delta: { mean: 1.5, count: 3 } })
    const second = run(F.minus(logRatio("chosen"), mean), {}, { ...inputs, state: { delta: { mean: 0.5, count: 1 } } })
    // (0.5 + 4.5) / 4
    assert.deepStrictEqual(second.state, { delta: { mean: 1.25, count: 4 } })
    assert.deepStrictEqual(rounded(second.value), [-0.25, -0.75, 1.75])
    assert.deepStrictEqual(rounded(second.coefficients.chosen), [1, 1, 1, 1, 1, 1])
  })
  it("detach keeps the value and stops the gradient", () => {
    const result = run(F.times(F.detach(logRatio("chosen")), F.sum(F.policy("rejected"))))
    assert.deepStrictEqual(rounded(result.value), [-3, -0.5, -6])
    assert.deepStrictEqual(rounded(result.coefficients.rejected), [1, 0.5, 3])
    assert.isUndefined(result.coefficients.chosen)
  })
  it("a constant loss has a value for every row", () =>
    assert.deepStrictEqual(rounded(evaluate(F.constant(2).node, {}, inputs)), [2, 2, 2]))
  it("metrics are evaluated beside the loss", () => {
    const program = compile(logRatio("chosen").node, {}, {
      margin: F.minus(logRatio("chosen"), logRatio("rejected")).node
    })
    assert.deepStrictEqual(rounded(program.run(inputs).metrics.margin), [3, 0.5, 4])
  })
})

describe("runs", () => {
  it("leave the results of earlier ones alone, whatever the size of the batch", () => {
    const program = compile(F.square(logRatio("chosen")).node, {})
    const [small, large] = [batch(random(1), 2), batch(random(2), 9)]
    const before = program.run(small)
    const kept = structuredClone(before)
    program.run(large)
    assert.deepStrictEqual(before, kept)
    assert.deepStrictEqual(program.run(small), kept)
  })
  it("of uncoupled formulas give each row what it gets alone", () => {
    let compared = 0
    for (let seed = 0; seed < 200; seed++) {
      const next = random(seed)
      const node = formula(next, 4, true)
      if (F.needs(node).has("batch")) continue
      const whole = batch(next, 4)
      const together = compile(node, parameters).run(whole)
      const starts = { chosen: 0, rejected: 0 }
      for (let row = 0; row < 4; row++) {
        const cut = (side: "chosen" | "rejected") => {
          const { lengths, policy, reference } = whole.sides[side]!
          const range = [starts[side], starts[side] += lengths[row]!] as const
          return {
            range,
            inputs: {
              lengths: lengths.slice(row, row + 1),
              policy: policy.slice(...range),
              reference: reference!.slice(...range)
            }
          }
        }
        const [chosen, rejected] = [cut("chosen"), cut("rejected")]
        const alone = compile(node, parameters).run({
          rows: 1,
          sides: { chosen: chosen.inputs, rejected: rejected.inputs },
          columns: { margin: whole.columns!.margin!.slice(row, row + 1) }
        })
        assert.deepStrictEqual(alone.value[0], together.value[row])
        if (together.coefficients.chosen === undefined) continue
        assert.deepStrictEqual(alone.coefficients.chosen, together.coefficients.chosen.slice(...chosen.range))
        compared++
      }
    }
    assert.isAbove(compared, 100)
  })
})

describe("what is not finite", () => {
  it("is named: the first term and its rows", () => {
    const program = compile(F.minus(F.exp(F.times(400, logRatio("chosen"))), logRatio("rejected")).node, {})
    assert.isUndefined(program.nonFinite())
    program.run(inputs)
    // exp(400 * 3) is beyond float64, exp(400) is not
    assert.deepStrictEqual(program.nonFinite(), { term: "exp(400 log-ratio_w)", rows: [2] })
  })
  it("is found in the inputs", () => {
    const policy = Float64Array.of(-1, -2, Number.NaN, -1, -1, -Infinity)
    const program = compile(F.square(logRatio("chosen")).node, {})
    program.run({ ...inputs, sides: { chosen: { ...inputs.sides.chosen!, policy } } })
    assert.deepStrictEqual(program.nonFinite(), { term: "token logp_w", rows: [1, 2] })
  })
  it("is nothing for a good batch", () => {
    const program = compile(F.square(logRatio("chosen")).node, {})
    program.run(inputs)
    assert.isUndefined(program.nonFinite())
  })
})

describe("a batch that does not fit", () => {
  const { chosen } = inputs.sides
  it.each([
    ["no side", logRatio("answer"), inputs, /no side "answer"/],
    ["no column", F.column("label"), inputs, /no column "label"/],
    [
      "no reference",
      logRatio("chosen"),
      { ...inputs, sides: { chosen: { lengths: chosen!.lengths, policy: chosen!.policy } } },
      /no reference log-probabilities of side "chosen"/
    ],
    [
      "lengths that do not add up",
      logRatio("chosen"),
      { ...inputs, sides: { chosen: { ...chosen!, lengths: Int32Array.of(2, 2, 3) } } },
      /side "chosen" has 3 rows of 7 tokens, not 3 of 6/
    ],
    [
      "a short column",
      F.column("weight"),
      { ...inputs, columns: { weight: Float64Array.of(1) } },
      /has 1 values for 3 rows/
    ]
  ])("%s", (_, loss: F.Formula<F.Need>, at: Inputs, message) => assert.throws(() => run(loss, {}, at), message))

  it("a parameter without a value, and a free variable", () => {
    assert.throws(() => run(F.times(F.parameter("a"), logRatio("chosen"))), /no value for the parameter "a"/)
    assert.throws(() => run(F.times(F.variable, logRatio("chosen"))), /variable r has no value/)
  })
})
