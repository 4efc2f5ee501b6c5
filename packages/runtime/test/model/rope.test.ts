// Rotary frequencies against transformers 5.18 (`ROPE_INIT_FUNCTIONS`), which computes them in float32.
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { ropeOf } from "../../src/model/rope.ts"

/** Largest relative difference. */
const largest = (ours: ReadonlyArray<number>, theirs: ReadonlyArray<number>): number =>
  Math.max(...ours.map((each, i) => Math.abs(each / theirs[i]! - 1)))

describe("frequencies", () => {
  const base = { max_position_embeddings: 512, rope_theta: 1e4 }
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 128 }
  const stretched = [
    1,
    0.23717081546783447,
    0.04999999701976776,
    0.007905694656074047,
    0.0024999999441206455,
    0.0007905694656074047,
    0.0002500000118743628,
    7.905694656074047e-05
  ]

  it("yarn", () => {
    const plain = Result.getOrThrow(ropeOf({ ...base, rope_scaling: yarn }, 16))
    assert.isBelow(largest(plain.frequencies, stretched), 1e-6)
    assert.closeTo(plain.scale, 1.138629436111989, 1e-12)
    const loud = { ...yarn, beta_fast: 16, beta_slow: 2, mscale: 0.7, mscale_all_dim: 1.1 }
    const scaled = Result.getOrThrow(ropeOf({ ...base, rope_parameters: loud }, 16))
    assert.isBelow(largest(scaled.frequencies, stretched), 1e-6)
    assert.closeTo(scaled.scale, 0.9518853439550599, 1e-12)
    assert.strictEqual(scaled.maxPositions, 512)
  })

  it("longrope, up to the original length", () => {
    const longrope = { type: "longrope", short_factor: [1, 1.1, 1.3, 2] }
    const config = { ...base, original_max_position_embeddings: 128, rope_scaling: longrope }
    const { frequencies, maxPositions, scale } = Result.getOrThrow(ropeOf(config, 8))
    assert.isBelow(largest(frequencies, [1, 0.09090909361839294, 0.007692307699471712, 0.0005000000237487257]), 1e-6)
    assert.closeTo(scale, 1.1338934190276817, 1e-12)
    assert.strictEqual(maxPositions, 128)
    const problem = Result.getOrThrow(Result.flip(ropeOf(config, 16)))
    assert.deepStrictEqual(problem, { field: "rope_scaling.short_factor", problem: "has 4 numbers; 8 pairs turn" })
  })
})
