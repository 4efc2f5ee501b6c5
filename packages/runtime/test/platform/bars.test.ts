import { assert, describe, it } from "@effect/vitest"
import { renderBar, renderLine } from "../../src/platform/Bars.ts"
import { duration } from "../../src/platform/duration.ts"

describe("bars", () => {
  const bar = {
    label: "objectives/dpo › train dpo",
    since: 0,
    done: 12,
    total: 48,
    first: 2,
    unit: "step",
    loss: 0.7125,
    speed: "14k tok/s  52 % MFU"
  }

  it("says done of total, rate, time left, loss and speed: 10 steps in 2.5 s leave 36 at 4/s", () => {
    assert.strictEqual(
      renderBar(bar, 2500, 200),
      `  ${"train dpo".padEnd(36)} ${"█".repeat(6)}${
        "░".repeat(18)
      }  12/48 steps  4.0/s  9.0 s left  loss 0.7125  14k tok/s  52 % MFU`
    )
  })

  it("never wraps", () => {
    for (const columns of [20, 40, 80]) assert.isBelow(renderBar(bar, 2500, columns).length, columns)
  })

  it("names what took a second, and counts the rest", () => {
    const finished = { _tag: "StepFinished", label: "a › train dpo", kind: "train" } as const
    assert.strictEqual(renderLine({ ...finished, seconds: 61 }), `✓ ${"train dpo".padEnd(38)} 1 min 01 s`)
    assert.isUndefined(renderLine({ ...finished, seconds: 0.2 }))
  })

  it("speaks of time as people do", () => {
    assert.deepStrictEqual([0.04, 9.96, 59.6, 61, 3700].map(duration), [
      "0.0 s",
      "10.0 s",
      "1 min 00 s",
      "1 min 01 s",
      "1 h 01 min"
    ])
  })
})
