// A loss inside the engine gives what the host gives in float64, for every shipped objective and for formulas of every kind.
import { assert, describe, it } from "@effect/vitest"
import { compile } from "@penchant/dsl/Evaluate"
import * as F from "@penchant/dsl/Formula"
import { meanLogProb, type Objective, objective } from "@penchant/dsl/Objective"
import { simplify } from "@penchant/dsl/Simplify"
import { all } from "@penchant/objectives/all"
import { pack } from "../../src/compute/Batch.ts"
import type { FusedLoss } from "../../src/compute/Engine.ts"
import { start } from "../../src/compute/onnx/backend.ts"
import { canFuse } from "../../src/compute/onnx/objective.ts"
import { random, tinyLlama, tokenGroups } from "./fixtures.ts"

const backend = await start({ threads: 1 })
const model = { ...tinyLlama(7), parameters: Float32Array.from(tinyLlama(7).parameters) }
const next = random(11)
const tokens = (length: number) => Array.from({ length }, () => Math.floor(next() * 23))
const groups = [[5, 4, 7], [1, 1, 3], [9, 6, 1], [4, 8, 8]].map(([prompt, ...branches]) => ({
  prompt: tokens(prompt!),
  branches: branches.map(tokens)
}))
const batch = pack(tokenGroups(groups), [0, 1, 2, 3])
const columns = { weight: Float64Array.of(0.5, 2, 1, 1.5) }
const scale = 1 / 4

/** One coefficient per token in batch order, from the host's program. */
const hostCoefficients = (
  loss: Objective,
  policy: Float64Array,
  reference: Float64Array,
  sides: ReadonlyArray<F.Side>
) => {
  const places = sides.map((): Array<number> => [])
  let n = 0
  batch.lengths.forEach((length, i) => {
    for (let j = 0; j < length; j++) places[i % 2]!.push(n++)
  })
  const pick = (from: Float64Array, at: ReadonlyArray<number>) => Float64Array.from(at, (i) => from[i]!)
  const inputs = {
    rows: 4,
    columns,
    sides: Object.fromEntries(sides.map((side, s) => [side, {
      lengths: batch.lengths.filter((_, i) => i % 2 === s),
      policy: pick(policy, places[s]!),
      reference: pick(reference, places[s]!)
    }]))
  }
  assert.isTrue("node" in loss.loss)
  const { coefficients } = compile((loss.loss as F.Formula<F.Need>).node, loss.parameters).run(inputs)
  const found = new Float64Array(policy.length)
  sides.forEach((side, s) =>
    places[s]!.forEach((at, i) => {
      found[at] = (coefficients[side]?.[i] ?? 0) * scale
    })
  )
  return found
}

const {
  column,
  detach,
  exp,
  length,
  log1mexp,
  logSigmoid,
  max,
  min,
  minus,
  negate,
  over,
  plus,
  policy,
  reference,
  relu
} = F
const { sigmoid, softplus, square, sum, times } = F
const [chosen, rejected] = [sum(policy("chosen")), sum(policy("rejected"))]
/** Token terms, row terms, columns, kinks and every pointwise node. */
const kinds = {
  "token terms": negate(sum(times(exp(times(0.3, policy("chosen"))), minus(policy("chosen"), reference("chosen"))))),
  "row values over tokens": sum(times(policy("rejected"), sigmoid(over(chosen, length("chosen"))))),
  "kinks": plus(relu(minus(chosen, rejected)), max(min(chosen, -3), times(0.5, rejected))),
  "columns and detached weights": times(
    column("weight"),
    negate(times(detach(exp(over(chosen, 10))), logSigmoid(rejected)))
  ),
  "softplus and log1mexp": minus(softplus(minus(rejected, chosen)), log1mexp(over(chosen, length("chosen")))),
  "squares": square(minus(over(chosen, length("chosen")), over(rejected, length("rejected"))))
}

const custom = Object.entries(kinds).map(([name, formula]) =>
  [name, objective(name, {}, () => formula as F.Formula<"policy">)] as const
)
const shipped = Object.entries(all).map(([name, { make }]) => [name, make() as Objective] as const)

describe("fused equals host", () => {
  for (const [name, loss] of [...shipped, ...custom]) {
    it(`for ${name}`, async () => {
      const sides: ReadonlyArray<F.Side> = ["chosen", "rejected"]
      const formula = simplify((loss.loss as F.Formula<F.Need>).node)
      const fused: FusedLoss = { formula, parameters: loss.parameters, sides }
      const inside = await backend.open(model, { fused })
      const outside = await backend.open(model, {})
      const policyValues = await outside.forward(batch)
      const referenceValues = policyValues.map((x, i) => x + 0.3 * Math.sin(i))
      await outside.backward(hostCoefficients(loss, policyValues, referenceValues, sides))
      const logProbs = await inside.fused!(batch, { reference: referenceValues, columns, scale })
      logProbs.forEach((value, n) => assert.closeTo(value, policyValues[n]!, 2e-6))
      const [got, expected] = [await inside.gradients(), await outside.gradients()]
      const top = Math.max(...Array.from(expected, Math.abs))
      assert.isAbove(top, 1e-4)
      got.forEach((value, i) => assert.isBelow(Math.abs(value - expected[i]!), 2e-6 * top))
    })
  }
})

describe("what cannot run inside", () => {
  const of = (node: F.Node, sides = ["chosen", "rejected"]): FusedLoss => ({
    formula: simplify(node),
    parameters: {},
    sides
  })

  it("is a loss that looks beyond its row, or at a side that is not packed", () => {
    const coupled = minus(meanLogProb("chosen"), F.batchMean(meanLogProb("rejected")))
    assert.isFalse(canFuse(of(coupled.node)))
    assert.isFalse(canFuse(of(F.batchSort(chosen).node)))
    assert.isFalse(canFuse(of(plus(chosen, F.runningMean("m", rejected)).node)))
    assert.isFalse(canFuse(of(chosen.node, ["rejected"])))
    assert.isTrue(canFuse(of(chosen.node)))
  })
  it("goes through the host: the session has no fused step", async () => {
    const session = await backend.open(model, { fused: of(F.batchMean(chosen).node) })
    assert.strictEqual(session.fused, undefined)
  })
})
