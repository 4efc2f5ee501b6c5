// What holds of every formula: simplifying changes nothing, gradients are slopes, and both are deterministic.
import { assert, describe, it } from "@effect/vitest"
import { compile } from "@penchant/dsl/Evaluate"
import { join, type Node } from "../src/Node.ts"
import { keyOf, size } from "../src/Order.ts"
import { simplify } from "../src/Simplify.ts"
import { tape } from "../src/Tape.ts"
import { batch, formula, parameters, random } from "./formulaGenerator.ts"

const seeds = Array.from({ length: 400 }, (_, seed) => seed)
const depth = 5

describe("simplify", () => {
  it("keeps the value of random formulas", () => {
    let compared = 0
    for (const seed of seeds) {
      const next = random(seed)
      const raw = formula(next, depth, false)
      const inputs = batch(next)
      const program = tape([[raw, "row"], [simplify(raw), "row"]], parameters)
      program.run(inputs)
      // rounding is relative to the largest value on the way
      const largest = program.slots.reduce(
        (most, _, i) => program.read(i).reduce((max, x) => Math.max(max, Math.abs(x)), most),
        1
      )
      const [before, after] = program.roots.map(program.read)
      before!.forEach((value, row) => {
        if (!Number.isFinite(value) || largest > 1e8) return
        compared++
        assert.isAtMost(Math.abs(value - after![row]!), 1e-11 * largest * largest, `seed ${seed}, row ${row}`)
      })
    }
    assert.isAbove(compared, 1000)
  })

  it("changes nothing when applied again", () => {
    for (const seed of seeds) {
      const once = simplify(formula(random(seed), depth, false))
      const again = simplify(structuredClone(once))
      assert.strictEqual(keyOf(again), keyOf(once), `seed ${seed}`)
    }
  })

  it("does not depend on the order in which a sum or product was written", () => {
    for (const seed of seeds) {
      const next = random(seed)
      const [a, b] = [formula(next, 4, false), formula(next, 4, false)]
      for (const tag of ["Plus", "Times", "Min", "Max"] as const) {
        assert.strictEqual(keyOf(simplify(join(tag, a, b))), keyOf(simplify(join(tag, b, a))), `${tag}, seed ${seed}`)
      }
    }
  })
})

describe("gradients", () => {
  it("are the slopes of the batch's summed value, by central differences at every token", () => {
    let compared = 0
    for (const seed of seeds) {
      const next = random(seed)
      const raw: Node = formula(next, 4, true)
      if (size(raw) > 150) continue
      const inputs = batch(next)
      const program = compile(raw, parameters)
      const { coefficients, value } = program.run(inputs)
      if (value.some((x) => !(Math.abs(x) < 1e4))) continue
      const total = (): number => program.run(inputs).value.reduce((sum, x) => sum + x, 0)
      for (const side of ["chosen", "rejected"] as const) {
        const { policy } = inputs.sides[side]!
        policy.forEach((logProb, t) => {
          const slopes = [1e-4, 1e-5].map((h) => {
            policy[t] = logProb + h
            const up = total()
            policy[t] = logProb - h
            const down = total()
            policy[t] = logProb
            return (up - down) / (2 * h)
          })
          // where two step sizes disagree, a kink or a swap in the sort lies between
          if (!(Math.abs(slopes[0]! - slopes[1]!) < 1e-4 * (1 + Math.abs(slopes[1]!)))) return
          compared++
          const ours = coefficients[side]?.[t] ?? 0
          const scale = 1 + Math.abs(ours) + Math.abs(total())
          assert.isAtMost(Math.abs(ours - slopes[1]!), 2e-5 * scale, `seed ${seed}, ${side} token ${t}`)
        })
      }
    }
    assert.isAbove(compared, 2000)
  })
})
