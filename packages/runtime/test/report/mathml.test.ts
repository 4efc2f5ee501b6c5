import {
  constant,
  exp,
  type Formula,
  length,
  logSigmoid,
  max,
  minus,
  negate,
  over,
  parameter,
  policy,
  reference,
  square,
  sum,
  times
} from "@penchant/dsl/Formula"
import { all, dil, dpo, nll } from "@penchant/objectives"
import { describe, expect, it } from "vitest"
import { isMathMl, toMathMl } from "../../src/report/mathml.ts"
import { gradientShare, objectiveData } from "../../src/report/objective.ts"

const set = (formula: Formula<any, any>): string => toMathMl(formula.node)
const ratio = (side: "chosen" | "rejected") => minus(sum(policy(side)), sum(reference(side)))

describe("formulas as MathML", () => {
  it("sets a log-ratio, its mean per token, and signs", () => {
    expect(set(ratio("chosen"))).toBe("<msub><mi>ρ</mi><mi>w</mi></msub>")
    expect(set(negate(over(ratio("rejected"), length("rejected"))))).toBe(
      "<mo>&#8722;</mo><msub><mover><mi>ρ</mi><mo>¯</mo></mover><mi>l</mi></msub>"
    )
  })
  it("sets DPO", () => {
    const beta = parameter("beta")
    expect(set(negate(logSigmoid(times(beta, minus(ratio("chosen"), ratio("rejected"))))))).toBe(
      "<mo>&#8722;</mo><mrow><mi>log\u2009</mi><mi>σ</mi><mrow><mo>(</mo><mrow><mi>β</mi>" +
        "<mrow><mo>(</mo><mrow><msub><mi>ρ</mi><mi>w</mi></msub><mo>&#8722;</mo><msub><mi>ρ</mi><mi>l</mi></msub></mrow>" +
        "<mo>)</mo></mrow></mrow><mo>)</mo></mrow></mrow>"
    )
  })
  it("sets small fractions, powers and other names", () => {
    expect(set(times(0.5, exp(ratio("chosen"))))).toMatch(/^<mfrac><mn>1<\/mn><mn>2<\/mn><\/mfrac><mrow><mi>exp<\/mi>/)
    expect(set(square(ratio("chosen")))).toBe(
      "<msup><mrow><mrow><mo>(</mo><mrow><msub><mi>ρ</mi><mi>w</mi></msub></mrow><mo>)</mo></mrow></mrow><mn>2</mn></msup>"
    )
    expect(set(max(parameter("a-b"), constant(0.3)))).toContain("<mtext>a&#8722;b</mtext>")
    expect(set(sum(reference("chosen")))).toBe("<msubsup><mi>ℓ</mi><mi>w</mi><mtext>ref</mtext></msubsup>")
  })
  it("sets every shipped objective in elements that pages take over", () => {
    for (const { make } of Object.values(all)) {
      const { mathml } = objectiveData(make()).formula
      expect(isMathMl(mathml!)).toBe(true)
      // balanced: every element that opens closes, in order
      const open: Array<string> = []
      for (const [, closing, tag] of mathml!.matchAll(/<(\/?)(\w+)>/g)) {
        if (closing === "" || open.at(-1) !== tag) open.push(closing! + tag!)
        else open.pop()
      }
      expect(open).toEqual([])
    }
  })
  it("takes over nothing else", () => {
    expect(isMathMl("<mi>x</mi>")).toBe(true)
    for (const text of ["<script>", "<mi onclick=x>", "<mi/onclick=x>", "<maction>", "<!-- -->", "<MI>", "< mi>"]) {
      expect(isMathMl(text)).toBe(false)
    }
  })
})

describe("the gradient's share", () => {
  it("is read where there are two sides, and nowhere else", () => {
    expect(gradientShare(nll())).toBeUndefined()
    expect(gradientShare(dpo())).toHaveLength(51)
  })
  it("is the slope of the loss by each mean log-ratio", () => {
    const at = (objective: Parameters<typeof gradientShare>[0], logRatio: number) =>
      gradientShare(objective)!.find((point) => Math.abs(point.logRatio - logRatio) < 1e-9)!
    expect(at(dil.lsif(), -1).chosen).toBeCloseTo(Math.exp(-1), 12)
    expect(at(dil.lsif(), -1).rejected).toBeCloseTo(Math.exp(-2), 12)
    expect(at(dil.bce(), 0.5).rejected).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 12)
    // both moved together leave DPO's margin at 0: beta / 2 per nat of the sum, 64 tokens
    expect(at(dpo({ beta: 0.1 }), -2).chosen).toBeCloseTo(0.05 * 64, 12)
    // in sums r is exp(64 x): large, but a number
    expect(at(dil.ukl({ ratio: "sum" }), 0.5).rejected / 64).toBeCloseTo(Math.exp(32), -2)
  })
})
