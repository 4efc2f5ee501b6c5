// The shipped objectives: numbers worked by hand, closed forms, symmetries, and what is printed of them.
import { assert, describe, it } from "@effect/vitest"
import type { Inputs, SideInputs } from "@penchant/dsl/Evaluate"
import { exp, logSigmoid, minus, negate, plus, square, times } from "@penchant/dsl/Formula"
import { gradientWeights } from "@penchant/dsl/GradientWeights"
import { program } from "@penchant/dsl/Loss"
import {
  type Aggregation,
  identityOf,
  isCustom,
  labelOf,
  needsOf,
  type Objective,
  objective,
  ratioOf
} from "@penchant/dsl/Objective"
import { toText } from "@penchant/dsl/Print"
import { all, dil, dpo, nll, simpo } from "@penchant/objectives"
import { pairs, references } from "./references.ts"

/** One pair: chosen of 2 tokens with log-ratio 0.6 and log-prob -1.4, rejected of 4 tokens, -0.8 and -4.8. */
const pair: Inputs = {
  rows: 1,
  sides: {
    chosen: { lengths: Int32Array.of(2), policy: Float64Array.of(-0.5, -0.9), reference: Float64Array.of(-1, -1) },
    rejected: {
      lengths: Int32Array.of(4),
      policy: Float64Array.of(-1, -1, -1, -1.8),
      reference: Float64Array.of(-1, -1, -1, -1)
    }
  }
}
const at = (objective: Objective, inputs: Inputs = pair) => {
  const { coefficients, value } = program(objective).run(inputs)
  return [value[0]!, coefficients.chosen?.[0] ?? 0, coefficients.rejected?.[0] ?? 0] as const
}

describe("worked by hand: value, coefficient of a chosen token, of a rejected token", () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
  it.each([
    // margin 0.6 - (-0.8) = 1.4
    ["dpo", dpo({ beta: 0.5 }), [Math.log(1 + Math.exp(-0.7)), -0.5 * sigmoid(-0.7), 0.5 * sigmoid(-0.7)]],
    // means: 0.3 - (-0.2) = 0.5
    [
      "dpo on means",
      dpo({ beta: 2, ratio: "mean" }),
      [Math.log(1 + Math.exp(-1)), -2 * sigmoid(-1) / 2, 2 * sigmoid(-1) / 4]
    ],
    // means of log-probabilities: -0.7 - (-1.2) = 0.5; 2 * 0.5 - 0.4
    [
      "simpo",
      simpo({ beta: 2, gamma: 0.4 }),
      [Math.log(1 + Math.exp(-0.6)), -2 * sigmoid(-0.6) / 2, 2 * sigmoid(-0.6) / 4]
    ],
    ["dil-lsif", dil.lsif(), [Math.exp(-0.4) / 2 - Math.exp(0.3), -Math.exp(0.3) / 2, Math.exp(-0.4) / 4]],
    [
      "dil-lsif on sums",
      dil.lsif({ ratio: "sum" }),
      [Math.exp(-1.6) / 2 - Math.exp(0.6), -Math.exp(0.6), Math.exp(-1.6)]
    ],
    [
      "dil-bce",
      dil.bce(),
      [Math.log(1 + Math.exp(-0.3)) + Math.log(1 + Math.exp(-0.2)), -sigmoid(-0.3) / 2, sigmoid(-0.2) / 4]
    ],
    ["dil-ukl", dil.ukl(), [Math.exp(-0.2) - 0.3, -1 / 2, Math.exp(-0.2) / 4]],
    ["nll per token", nll(), [1.4, -1, 0]],
    ["nll per sequence", nll({ reduction: "sequence" }), [0.7, -1 / 2, 0]]
  ] as ReadonlyArray<readonly [string, Objective, ReadonlyArray<number>]>)("%s", (_, objective, expected) => {
    at(objective).forEach((value, i) => assert.closeTo(value, expected[i]!, 1e-15))
  })
})

describe("DIL", () => {
  const closed = (ratio: Aggregation) => {
    const [w, l] = [ratioOf("chosen", ratio), ratioOf("rejected", ratio)]
    return {
      lsif: objective("lsif", {}, () => minus(times(0.5, square(exp(l))), exp(w))),
      bce: objective("bce", {}, () => negate(plus(logSigmoid(w), logSigmoid(negate(l))))),
      ukl: objective("ukl", {}, () => minus(exp(l), w))
    }
  }
  it.each(["sum", "mean"] as const)("from h is its closed form, the same formula (%s)", (ratio) => {
    for (const name of ["lsif", "bce", "ukl"] as const) {
      assert.deepStrictEqual(identityOf(dil[name]({ ratio })), identityOf(closed(ratio)[name]))
    }
  })
  it("the paper's h of LSIF, (r - 1)² / 2, differs by a constant half", () => {
    const paper = dil("chi2", (r) => times(0.5, square(minus(r, 1))))
    const [value, ...slopes] = at(paper)
    const [ours, ...same] = at(dil.lsif())
    assert.closeTo(value - ours, 0.5, 1e-15)
    assert.deepStrictEqual(slopes, same)
  })
  it("a member of one's own, with a parameter", () => {
    const scaled = dil("scaled", (r, { c }) => times(c, square(r)), { parameters: { c: 0.5 }, ratio: "sum" })
    assert.deepStrictEqual(at(scaled), at(dil.lsif({ ratio: "sum" })))
    assert.strictEqual(labelOf(scaled), "scaled(c=0.5,ratio=sum)")
  })
  it("LSIF and UKL pull alike at the start, BCE half as much", () => {
    const start = pairs(references.rows.filter(({ kind }) => kind === "init"))
    const slopes = [dil.lsif(), dil.ukl(), dil.bce()].map((each) => program(each).run(start).coefficients)
    assert.deepStrictEqual(slopes[0], slopes[1])
    slopes[0]!.chosen!.forEach((slope, t) => assert.closeTo(slopes[2]!.chosen![t]!, slope / 2, 1e-16))
    slopes[0]!.rejected!.forEach((slope, t) => assert.closeTo(slopes[2]!.rejected![t]!, slope / 2, 1e-16))
  })
  it("has its values at the start", () => {
    const start = pairs(references.rows.filter(({ kind }) => kind === "init"))
    for (const [each, value] of [[dil.lsif(), -0.5], [dil.bce(), 2 * Math.LN2], [dil.ukl(), 1]] as const) {
      program(each).run(start).value.forEach((found) => assert.closeTo(found, value, 1e-15))
    }
  })
})

const shipped = [
  ...Object.values(all).map(({ make }) => make()),
  dpo({ ratio: "mean" }),
  dil.lsif({ ratio: "sum" }),
  dil.bce({ ratio: "sum" }),
  dil.ukl({ ratio: "sum" }),
  nll({ reduction: "sequence" })
]
const mild = pairs(references.rows.filter(({ kind }) => kind === "moderate" || kind === "shifted"))

describe("symmetries", () => {
  const swapped: Inputs = { ...mild, sides: { chosen: mild.sides.rejected!, rejected: mild.sides.chosen! } }
  it.each([dpo(), dpo({ ratio: "mean" }), simpo({ gamma: 0 })])(
    "swapping the answers negates the margin %#",
    (each) => {
      const [straight, crossed] = [program(each).run(mild), program(each).run(swapped)]
      // -log sigmoid(z) + log sigmoid(-z) = -z, and the slopes of the two add up to beta
      straight.value.forEach((value, row) => {
        const z = Math.log(Math.exp(-value) / -Math.expm1(-value))
        assert.closeTo(value - crossed.value[row]!, -z, 1e-9)
      })
      const { lengths } = mild.sides.chosen!
      let t = 0
      lengths.forEach((length) => {
        const perToken = labelOf(each) === "dpo" ? 1 : length
        const total = straight.coefficients.chosen![t]! - crossed.coefficients.rejected![t]!
        assert.closeTo(total * perToken, -each.parameters.beta!, 1e-12)
        t += length
      })
    }
  )
  it("shifting the log-probabilities of both models alike changes nothing that reads only their ratio", () => {
    const shift = ({ lengths, policy, reference }: SideInputs): SideInputs => ({
      lengths,
      policy: policy.map((x) => x - 0.75),
      reference: reference!.map((x) => x - 0.75)
    })
    const moved: Inputs = {
      ...mild,
      sides: { chosen: shift(mild.sides.chosen!), rejected: shift(mild.sides.rejected!) }
    }
    const ratios = shipped.filter((each) => needsOf(each).has("reference"))
    assert.strictEqual(ratios.length, 8)
    for (const each of ratios) {
      const [before, after] = [program(each).run(mild), program(each).run(moved)]
      before.value.forEach((value, row) => {
        if (Number.isFinite(value)) {
          assert.closeTo(after.value[row]!, value, 1e-10 * (1 + Math.abs(value)), labelOf(each))
        }
      })
    }
  })
  it("every token of an answer gets the same coefficient", () => {
    for (const each of shipped) {
      for (const [side, values] of Object.entries(program(each).run(mild).coefficients)) {
        let t = 0
        mild.sides[side as "chosen"]!.lengths.forEach((length) => {
          assert.strictEqual(new Set(values.subarray(t, t + length)).size, 1)
          t += length
        })
      }
    }
  })
})

describe("gradients against finite differences", () => {
  it.each(shipped)("$name %#", (each) => {
    const run = program(each)
    const { coefficients } = run.run(pair)
    const h = 1e-5
    for (const side of ["chosen", "rejected"] as const) {
      const { policy } = pair.sides[side]!
      policy.forEach((logProb, t) => {
        policy[t] = logProb + h
        const up = run.run(pair).value[0]!
        policy[t] = logProb - h
        const down = run.run(pair).value[0]!
        policy[t] = logProb
        assert.closeTo(coefficients[side]?.[t] ?? 0, (up - down) / (2 * h), 1e-9)
      })
    }
  })
})

describe("extremes", () => {
  const inputs = pairs()
  const largest = Math.log(Number.MAX_VALUE)
  const ratios = references.rows.map(({ L_l, L_w, R_l, R_w, len_l, len_w }) => {
    const [w, l] = [L_w - R_w, L_l - R_l]
    return { sum: [w, l], mean: [w / len_w, l / len_l] } as const
  })
  it("margins and BCE are finite on every row, 800 nats included", () => {
    const finite = shipped.filter(({ name }) => name !== "dil-lsif" && name !== "dil-ukl")
    assert.strictEqual(finite.length, 7)
    for (const each of finite) {
      const run = program(each)
      run.run(inputs)
      assert.isUndefined(run.nonFinite(), labelOf(each))
    }
  })
  it.each(["sum", "mean"] as const)("LSIF and UKL overflow exactly where exp does, and say so (%s)", (ratio) => {
    const lsif = program(dil.lsif({ ratio }))
    lsif.run(inputs).value.forEach((value, row) => {
      const [w, l] = ratios[row]![ratio]
      assert.strictEqual(Number.isFinite(value), w < largest && 2 * l < largest, `row ${row}`)
    })
    // the first term in the order of the formula
    const [term, side, times] = ratio === "sum"
      ? (["exp(log-ratio_w)", 0, 1] as const)
      : (["exp(2 mean log-ratio_l)", 1, 2] as const)
    const rows = ratios.flatMap((each, row) => (times * each[ratio][side]! > largest ? [row] : []))
    assert.isAbove(rows.length, 0)
    assert.deepStrictEqual(lsif.nonFinite(), { term, rows })
    program(dil.ukl({ ratio })).run(inputs).value.forEach((value, row) =>
      assert.strictEqual(Number.isFinite(value), ratios[row]![ratio][1]! < largest, `row ${row}`)
    )
  })
})

describe("the table", () => {
  it("is complete: names, formulas, needs, defaults", () => {
    const rows = Object.entries(all).map(([name, { make }]) => {
      const made: Objective = make()
      assert.strictEqual(made.name, name)
      assert.strictEqual(labelOf(made), name)
      return [
        name,
        isCustom(made.loss) ? "" : toText(made.loss.node),
        [...needsOf(made)].toSorted().join(" "),
        made.parameters
      ]
    })
    const pairwise = "policy reference side:chosen side:rejected"
    assert.deepStrictEqual(rows, [
      ["dil-lsif", "0.5 exp(2 mean log-ratio_l) - exp(mean log-ratio_w)", pairwise, {}],
      ["dil-bce", "-log σ(mean log-ratio_w) - log σ(-mean log-ratio_l)", pairwise, {}],
      ["dil-ukl", "exp(mean log-ratio_l) - mean log-ratio_w", pairwise, {}],
      ["dpo", "-log σ(β (log-ratio_w - log-ratio_l))", pairwise, { beta: 0.1 }],
      ["simpo", "-log σ(β (mean logp_w - mean logp_l) - γ)", "policy side:chosen side:rejected", {
        beta: 2,
        gamma: 0.5
      }],
      ["nll", "-logp_w", "policy side:chosen", {}]
    ])
  })
  it("labels tell the members of a study apart", () => {
    const labels = shipped.map(labelOf)
    assert.strictEqual(new Set(labels).size, labels.length)
    assert.include(labels, "dpo(ratio=mean)")
    assert.strictEqual(labelOf(dpo({ beta: 0.5, ratio: "mean" })), "dpo(beta=0.5,ratio=mean)")
    assert.strictEqual(labelOf(nll({ reduction: "sequence" })), "nll(reduction=sequence)")
  })
  it("only nll per token is divided by tokens", () => {
    assert.deepStrictEqual(shipped.filter(({ per }) => per === "token").map(labelOf), ["nll"])
  })
})

describe("gradient share of chosen and rejected, read off the formulas", () => {
  const points = { chosenLogRatio: [0, -0.5], rejectedLogRatio: [0, -1] }
  it("LSIF lets go of a rejected answer as it becomes unlikely, UKL more slowly, DPO with the margin only", () => {
    const lsif = gradientWeights(dil.lsif(), points)
    assert.closeTo(lsif.chosen[1]!, Math.exp(-0.5), 1e-15)
    assert.closeTo(lsif.rejected[1]!, Math.exp(-2), 1e-15)
    const ukl = gradientWeights(dil.ukl(), points)
    assert.closeTo(ukl.chosen[1]!, 1, 1e-15)
    assert.closeTo(ukl.rejected[1]!, Math.exp(-1), 1e-15)
    const margins = gradientWeights(dpo({ beta: 1, ratio: "mean" }), { ...points, chosenLength: 7, rejectedLength: 3 })
    assert.closeTo(margins.chosen[1]!, 1 / (1 + Math.exp(0.5)), 1e-15)
    assert.closeTo(margins.rejected[1]!, margins.chosen[1]!, 1e-15)
  })
  it("length and a token's own weight cancel in means", () => {
    const [short, long] = [1, 50].map((chosenLength) => gradientWeights(dil.bce(), { ...points, chosenLength }))
    assert.closeTo(short!.chosen[0]!, long!.chosen[0]!, 1e-13)
  })
})
