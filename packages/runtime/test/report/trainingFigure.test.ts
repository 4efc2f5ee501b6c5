// The figure of a model card: one line per answer against the reference, the loss without one, nothing of a single step.
import { assert, describe, it } from "@effect/vitest"
import { parseHTML } from "linkedom"
import { trainingFigure } from "../../src/report/trainingFigure.ts"
import type { StepMetrics } from "../../src/training/StepMetrics.ts"

const step = (step: number, loss: number, moved?: readonly [number, number]): StepMetrics => ({
  step,
  epoch: step / 4,
  loss,
  learning_rate: 1e-6,
  grad_norm: 1,
  clipped_fraction: 0,
  num_tokens: 100 * step,
  saturated_fraction: 0,
  ...(moved === undefined ? {} : { "displacement/chosen": moved[0], "displacement/rejected": moved[1] })
})

const drawn = (metrics: ReadonlyArray<StepMetrics>) => {
  const { document } = parseHTML(trainingFigure(metrics)!)
  const svg = document.querySelector("svg")!
  return {
    xmlns: svg.getAttribute("xmlns"),
    lines: [...svg.querySelectorAll("[aria-label=line] path")].map((path) => ({
      colour: path.getAttribute("stroke"),
      points: path.getAttribute("d")!.match(/[ML]/g)!.length
    })),
    names: [...svg.querySelectorAll("[aria-label=text] text")].map((text) => text.textContent)
  }
}

describe("the figure of a model card", () => {
  it("draws both answers against the reference", () => {
    const { lines, names, xmlns } = drawn([step(1, 1, [0, 0]), step(2, 0.9, [-0.1, -0.2]), step(3, 0.8, [-0.1, -0.4])])
    assert.strictEqual(xmlns, "http://www.w3.org/2000/svg")
    assert.deepStrictEqual(lines, [{ colour: "#383bb2", points: 3 }, { colour: "#b03f11", points: 3 }])
    assert.deepStrictEqual(names, ["chosen", "rejected"])
  })

  it("draws the loss where there is no reference, and nothing of a single step", () => {
    const { lines, names } = drawn([step(1, 3), step(2, 2)])
    assert.deepStrictEqual(lines, [{ colour: "#383bb2", points: 2 }])
    assert.deepStrictEqual(names, ["loss"])
    assert.isUndefined(trainingFigure([step(1, 3)]))
  })
})
