// Values and gradients against what TRL 1.13.0, the DIL and the SimPO repositories computed, number by number.
import { assert, describe, it } from "@effect/vitest"
import type { RunningMean } from "@penchant/dsl/Evaluate"
import { program } from "@penchant/dsl/Loss"
import { needsOf } from "@penchant/dsl/Objective"
import { all, nll } from "@penchant/objectives"
import { aot, aotUnpaired, bco, kto, pairwise, tokenwise } from "./peers.ts"
import { difference, pairs, peerValue, perRow, references, tokenPairs, unpaired } from "./references.ts"

const tolerance = (dtype: string | undefined): number =>
  dtype === "float32" ? 1e-3 : dtype === "float32 inside" ? 1e-5 : 1e-9
const read = (params: Readonly<Record<string, unknown>>, name: string): number => Number(params[name])

describe("one pair at a time", () => {
  const inputs = pairs()
  const lengths = { chosen: inputs.sides.chosen!.lengths, rejected: inputs.sides.rejected!.lengths }
  references.cases.forEach((at, i) => {
    it(`${at.objective} ${JSON.stringify(at.params)} ${at.aggregation} #${i}`, () => {
      const objective = pairwise[at.objective]!(at)
      const { coefficients, value } = program(objective).run(inputs)
      const floor = objective.name in all ? Number.MIN_VALUE : 1e-4
      const ours = {
        loss: [...value],
        dL_w: perRow(coefficients.chosen, lengths.chosen),
        dL_l: perRow(coefficients.rejected, lengths.rejected)
      }
      // the repository's UKL leaves out the chosen reference, a constant: compare its gradient, and values with paper.UKL
      const compared = at.objective === "dil_repo.UKL"
        ? (["dL_w", "dL_l"] as const)
        : (["loss", "dL_w", "dL_l"] as const)
      for (const name of compared) {
        at[name].forEach((peer, row) => {
          const theirs = peerValue(peer)
          if (!Number.isFinite(theirs)) return
          const off = difference(ours[name][row]!, theirs, floor)
          assert.isAtMost(off, tolerance(at.dtype), `${name} of row ${row}: ${ours[name][row]} for ${theirs}`)
        })
      }
    })
  })
})

describe("rows of a batch coupled", () => {
  references.batch_cases.filter(({ objective }) => objective.startsWith("trl.dpo.aot")).forEach((at, i) => {
    it(`${at.objective} #${i}`, () => {
      const make = at.objective === "trl.dpo.aot" ? aot : aotUnpaired
      const objective = make(read(at.params, "beta"), read(at.params, "label_smoothing"))
      assert.isTrue(needsOf(objective).has("batch"))
      const inputs = pairs(at.rows.map((row) => references.rows[row]!))
      const { coefficients, value } = program(objective).run(inputs)
      at.sorted_losses!.forEach((loss, row) => assert.isAtMost(difference(value[row]!, loss), 1e-9))
      for (const [name, side] of [["dL_w", "chosen"], ["dL_l", "rejected"]] as const) {
        const ours = perRow(coefficients[side], inputs.sides[side]!.lengths)
        at[name].forEach((slope, row) => assert.isAtMost(difference(ours[row]! / inputs.rows, slope), 1e-9))
      }
    })
  })

  references.batch_cases.filter(({ objective }) => objective === "trl.kto.kto").forEach((at, i) => {
    it(`${at.objective} #${i}`, () => {
      const { beta, desirable_weight, undesirable_weight } = at.params as Record<string, number>
      const inputs = unpaired(at.rows.map((row) => references.rows[row]!), {
        klPolicy: at.KL_policy_logps!,
        klReference: at.KL_reference_logps!
      })
      const { coefficients, value } = program(kto(beta!, desirable_weight!, undesirable_weight!)).run(inputs)
      at.example_losses!.forEach((loss, row) => assert.isAtMost(difference(value[row]!, loss), 1e-9))
      const ours = perRow(coefficients.answer, inputs.sides.answer!.lengths)
      const theirs = [...at.dL_w, ...at.dL_l]
      theirs.forEach((slope, row) => assert.isAtMost(difference(ours[row]! / inputs.rows, slope), 1e-9))
    })
  })

  it.each([0.1, 0.5])("trl.bco, beta %s: the running mean over three batches is state", (beta) => {
    const sequence = references.batch_cases.filter((at) => at.objective === "trl.bco" && at.params.beta === beta)
    assert.strictEqual(sequence.length, 3)
    const run = program(bco(beta))
    let state: Readonly<Record<string, RunningMean>> = {}
    for (const at of sequence) {
      const inputs = unpaired(at.rows.map((row) => references.rows[row]!), {})
      const result = run.run({ ...inputs, state })
      state = result.state
      assert.strictEqual(state.delta!.count, 12 * (at.batch_index_in_sequence! + 1))
      // the peer keeps its mean in float32, and a margin of 70 magnifies what that rounds
      assert.isAtMost(difference(state.delta!.mean, at.delta!), 1e-6)
      at.example_losses!.forEach((loss, row) => assert.isAtMost(difference(result.value[row]!, loss), 1e-5))
      const ours = perRow(result.coefficients.answer, inputs.sides.answer!.lengths)
      const theirs = [...at.dL_w, ...at.dL_l]
      theirs.forEach((slope, row) => assert.isAtMost(difference(ours[row]! / inputs.rows, slope), 2e-6))
    }
  })
})

describe("token by token", () => {
  const inputs = tokenPairs()
  const starts = (lengths: Int32Array): ReadonlyArray<number> => {
    let t = 0
    return [...lengths].map((length) => (t += length) - length)
  }
  references.token_cases.forEach((at, i) => {
    const objective = tokenwise[at.objective]!(at)
    it.runIf(objective !== undefined)(`${at.objective} ${JSON.stringify(at.params)} #${i}`, () => {
      const { coefficients, value } = program(objective!).run(inputs)
      const mean = value.reduce((sum, x) => sum + x, 0) / inputs.rows
      // per-row losses of the mixed objectives and of `sft` are not what their batch loss averages
      if (at.objective !== "trl.dpo.sft") assert.isAtMost(difference(mean, at.batch_loss), 1e-9)
      for (
        const [name, side] of [["row_grad_chosen_logps", "chosen"], ["row_grad_rejected_logps", "rejected"]] as const
      ) {
        const from = starts(inputs.sides[side]!.lengths)
        at[name].forEach((slopes, row) => {
          if (slopes === null) return
          if (side === "chosen") assert.isAtMost(difference(value[row]!, at.row_loss[row]!), 1e-9)
          slopes.forEach((slope, t) =>
            assert.isAtMost(difference(coefficients[side]?.[from[row]! + t] ?? 0, slope), 1e-9)
          )
        })
      }
    })
  })

  it("nll per token is TRL's sft: the summed loss over the tokens of the step", () => {
    const at = references.token_cases.find(({ objective }) => objective === "trl.dpo.sft")!
    const objective = nll()
    const { coefficients, value } = program(objective).run(inputs)
    const tokens = inputs.sides.chosen!.policy.length
    assert.strictEqual(objective.per, "token")
    assert.isAtMost(difference(value.reduce((sum, x) => sum + x, 0) / tokens, at.batch_loss), 1e-12)
    assert.deepStrictEqual([...coefficients.chosen!], Array.from({ length: tokens }, () => -1))
  })
})
