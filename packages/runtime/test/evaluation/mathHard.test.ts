// MATH's answers against what lm-eval's own functions make of the same strings, and numbers worked by hand.
import { assert, describe, it } from "@effect/vitest"
import { latexNumber } from "../../src/evaluation/tasks/latexNumber.ts"
import { answerOf, boxed, mathHard, normalised } from "../../src/evaluation/tasks/mathHard.ts"
import { readJson, references } from "../compute/fixtures.ts"

const stored: Readonly<Record<"normalised" | "boxed" | "answers", ReadonlyArray<readonly [string, string]>>> = readJson(
  new URL("lm-eval/math.json", references)
)
const ours = (of: (text: string) => string | undefined, cases: ReadonlyArray<readonly [string, string]>) =>
  cases.map(([text]) => [text, of(text) ?? "[invalidanswer]"] as const)

describe("MATH", () => {
  it("finds and normalises answers as lm-eval does", () => {
    assert.deepStrictEqual(ours(normalised, stored.normalised), stored.normalised)
    assert.deepStrictEqual(ours(boxed, stored.boxed), stored.boxed)
    assert.deepStrictEqual(ours(answerOf, stored.answers), stored.answers)
  })

  it("reads numbers", () => {
    const values: ReadonlyArray<readonly [string, number | undefined]> = [
      ["12", 12],
      ["-.5", -0.5],
      ["\\frac{3}{4}", 0.75],
      ["-\\dfrac{1}{2}", -0.5],
      ["2\\frac{1}{2}", 2.5],
      ["3/4", 0.75],
      ["3\\sqrt{2}", 3 * Math.SQRT2],
      ["\\sqrt[3]{8}", 2],
      ["2^{10}", 1024],
      ["2^{-1}", 0.5],
      ["\\left(1+2\\right)\\cdot 4", 12],
      ["2\\pi", 2 * Math.PI],
      ["x", undefined],
      ["[2,5)", undefined],
      ["1,2", undefined],
      ["1/0", undefined],
      ["", undefined],
      ["(1", undefined]
    ]
    for (const [text, expected] of values) {
      const value = latexNumber(text)
      if (expected === undefined) assert.isUndefined(value, text)
      else assert.closeTo(value!, expected, 1e-12, text)
    }
  })

  it("takes equal numbers for equal under a name of its own, and counts what has no answer", () => {
    const { judge, target } = mathHard("algebra")
    const response = (answer: string) => `Final Answer: The final answer is $${answer}$. I hope it is correct.`
    const judged = (ours: string, theirs: string) => Object.values(judge).map((of) => of(response(ours), theirs))
    assert.deepStrictEqual(judged("\\frac12", "\\frac{1}{2}"), [true, true])
    assert.deepStrictEqual(judged("0.5", "\\frac{1}{2}"), [false, true])
    assert.deepStrictEqual(judged("2", "3"), [false, false])
    assert.deepStrictEqual(judged("x", "x"), [true, true])
    const unboxed = { problem: "?", level: "Level 5", solution: "It is 2." }
    assert.strictEqual(target(unboxed), "")
    assert.deepStrictEqual(Object.values(judge).map((of) => of(response(""), target(unboxed))), [false, false])
  })
})
