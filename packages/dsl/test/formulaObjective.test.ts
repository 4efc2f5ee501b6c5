// Objectives: labels, identity, checks, and the escape hatch.
import { assert, describe, it } from "@effect/vitest"
import * as F from "@penchant/dsl/Formula"
import { gradientWeights } from "@penchant/dsl/GradientWeights"
import { digest } from "@penchant/dsl/Identity"
import { program } from "@penchant/dsl/Loss"
import { identityOf, isObjective, labelOf, logRatio, needsOf, objective } from "@penchant/dsl/Objective"

const margin = F.minus(logRatio("chosen"), logRatio("rejected"))
const make = (name: string, beta: number) =>
  objective(name, { beta }, ({ beta }) => F.negate(F.logSigmoid(F.times(beta, margin))), { defaults: { beta: 0.1 } })

describe("label", () => {
  it("shows what is not the default", () => {
    assert.strictEqual(labelOf(make("dpo", 0.1)), "dpo")
    assert.strictEqual(labelOf(make("dpo", 0.5)), "dpo(beta=0.5)")
    const chosen = objective("x", { b: 1, a: 2 }, ({ a, b }) => F.times(a, F.times(b, margin)), {
      choices: { ratio: "sum" }
    })
    assert.strictEqual(labelOf(chosen), "x(a=2,b=1,ratio=sum)")
  })
})

describe("identity", () => {
  it("is the simplified formula and the parameters' values, never the name", () => {
    assert.strictEqual(digest(identityOf(make("a", 0.1))), digest(identityOf(make("b", 0.1))))
    assert.notStrictEqual(digest(identityOf(make("a", 0.1))), digest(identityOf(make("a", 0.2))))
    const rewritten = objective("c", { beta: 0.1 }, ({ beta }) => F.softplus(F.times(F.negate(beta), margin)))
    assert.strictEqual(digest(identityOf(rewritten)), digest(identityOf(make("a", 0.1))))
  })
  it("has what else changes training: the divisor and the metrics", () => {
    const [perPair, perToken] = (["pair", "token"] as const).map((per) =>
      objective("n", {}, () => F.negate(margin), { per })
    )
    assert.notStrictEqual(digest(identityOf(perPair!)), digest(identityOf(perToken!)))
  })
})

describe("checks at run time", () => {
  it("a parameter that is not a number is named", () => {
    assert.throws(() => make("dpo", Number.NaN), /objective "dpo": parameter beta is NaN/)
    assert.throws(() => make("dpo", Infinity), /objective "dpo": parameter beta is Infinity/)
  })
  it("a loss without the policy, per token, or with a hungrier metric", () => {
    const untyped = (f: F.Formula<F.Need, any>) => f as F.Formula<"policy">
    assert.throws(() => objective("c", {}, () => untyped(F.length("chosen"))), /never mentions the policy/)
    assert.throws(() => objective("c", {}, () => untyped(F.policy("chosen"))), /a value per token; sum it/)
    assert.throws(
      () =>
        objective("c", {}, () => F.sum(F.policy("chosen")), { metrics: { m: untyped(logRatio("chosen")) as never } }),
      /metric m needs reference, which the loss does not/
    )
  })
})

describe("custom", () => {
  // mean squared log-probability of the chosen tokens, as plain functions
  const squared = objective.custom(import.meta, "squared", {
    parameters: { scale: 2 },
    needs: ["policy", "side:chosen"],
    value: ({ rows, sides }, { scale }) => {
      const { lengths, policy } = sides.chosen!
      let t = 0
      return Float64Array.from({ length: rows }, (_, row) => {
        let sum = 0
        for (const end = t + lengths[row]!; t < end; t++) sum += scale * policy[t]! ** 2
        return sum
      })
    },
    coefficients: ({ sides }, { scale }) => ({ chosen: sides.chosen!.policy.map((logProb) => 2 * scale * logProb) })
  })
  const inputs = {
    rows: 2,
    sides: { chosen: { lengths: Int32Array.of(1, 2), policy: Float64Array.of(-1, -2, -3) } }
  }

  it("computes, and is what the same formula computes", () => {
    const same = objective("squared", { scale: 2 }, ({ scale }) => F.sum(F.times(scale, F.square(F.policy("chosen")))))
    assert.deepStrictEqual(program(squared).run(inputs), program(same).run(inputs))
    assert.deepStrictEqual([...program(squared).run(inputs).value], [2, 26])
    assert.deepStrictEqual([...needsOf(squared)], ["policy", "side:chosen"])
    assert.isTrue(isObjective(squared))
  })
  it("is identified by its functions' text, name and epoch, not by where the file lies", () => {
    const identity = JSON.stringify(identityOf(squared))
    assert.include(identity, "2 * scale * logProb")
    assert.notInclude(identity, "file:")
    assert.doesNotThrow(() => digest(identityOf(squared)))
  })
  it("names what is not finite, and refuses results of the wrong length", () => {
    const broken = (value: Float64Array, coefficients: Float64Array) =>
      program(objective.custom(import.meta, "broken", {
        parameters: {},
        needs: ["policy", "side:chosen"],
        value: () => value,
        coefficients: () => ({ chosen: coefficients })
      }))
    const bad = broken(Float64Array.of(1, 2), Float64Array.of(1, 2, Number.NaN))
    bad.run(inputs)
    assert.deepStrictEqual(bad.nonFinite(), { term: "coefficients.chosen of broken", rows: [1] })
    assert.throws(() => broken(Float64Array.of(1), Float64Array.of(1, 2, 3)).run(inputs), /returned 1 values for 2/)
    assert.throws(() => broken(Float64Array.of(1, 2), Float64Array.of(1)).run(inputs), /returned 1 values for 3/)
  })
})

describe("gradient weights", () => {
  it("are slopes by the per-token mean log-ratios", () => {
    // dpo, sums: d/dm_w = beta n_w sigmoid(-beta (n_w m_w - n_l m_l))
    const { chosen, rejected } = gradientWeights(make("dpo", 0.1), {
      chosenLogRatio: [0, 0.5],
      rejectedLogRatio: [0, -0.25],
      chosenLength: 10,
      rejectedLength: 20
    })
    const sigmoid = 1 / (1 + Math.exp(0.1 * (5 + 5)))
    assert.closeTo(chosen[0]!, 0.5, 1e-12)
    assert.closeTo(rejected[0]!, 1, 1e-12)
    assert.closeTo(chosen[1]!, sigmoid, 1e-12)
    assert.closeTo(rejected[1]!, 2 * sigmoid, 1e-12)
  })
})
