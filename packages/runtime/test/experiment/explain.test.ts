// A corpus of edits to one experiment: after each, exactly the right steps are no hits, and each says exactly why.
import { assert, describe, it } from "@effect/vitest"
import { openHome } from "@penchant/runtime/experiment/Home"
import { ls, resolve, show } from "@penchant/runtime/experiment/listing"
import { type PlanNode, reasons } from "@penchant/runtime/experiment/Plan"
import { forFile } from "@penchant/runtime/platform/PipelineFile"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { edits } from "./edits.ts"
import { planIn, runIn, step, withDirectory } from "./fakes.ts"
import { options, targets, world, write } from "./world.ts"

const inputsAlone = /^input ".+" (changed|is new|is no longer there): /

describe("explain", () => {
  it.effect("names what changed, and nothing else, after every edit", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const home = path.join(directory, ".penchant")
        const before = world(directory)
        write(before)
        yield* runIn(home, targets(before), options(before))
        assert.isAtLeast(edits.length, 30)
        for (const { edit, misses, what, why } of edits) {
          const after = world(directory)
          edit(after)
          write(after)
          const plan = yield* planIn(home, targets(after), options(after))
          const missed = [...plan.values()].filter(({ verdict }) => verdict._tag !== "Hit")
          assert.deepStrictEqual(missed.map(({ label }) => label).toSorted(), misses.toSorted(), what)
          for (const { label, verdict } of missed) {
            const said = reasons(verdict).map((text) => text.replace(directory, "$"))
            // Where the edit shows, its reasons, and whatever inputs changed besides; elsewhere inputs alone.
            const own = said.filter((text) => why[label]?.includes(text) || !inputsAlone.test(text))
            assert.isNotEmpty(said, `${what}: ${label}`)
            assert.deepStrictEqual(own, why[label] ?? [], `${what}: ${label}`)
          }
          write(before)
        }
        // Everything is as it was, so nothing has to run.
        const plan = yield* planIn(home, targets(world(directory)), options(before))
        assert.isTrue([...plan.values()].every(({ verdict }) => verdict._tag === "Hit"))
      })
    ))

  it.live("compares with what the same pipeline ran, not with a step of another that is called alike", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const train = (seed: number) => ({ "train dpo": step("train", { seed }) })
        const [mine, yours] = [forFile("pipelines/mine.ts"), forFile("pipelines/yours.ts")]
        const reasonsOf = (plan: ReadonlyMap<string, PlanNode>) => reasons(plan.get("train dpo")!.verdict)
        const { digests } = yield* mine(runIn(home, train(0)))
        assert.deepStrictEqual(reasonsOf(yield* mine(planIn(home, train(1)))), ["seed changed from 0 to 1"])
        assert.deepStrictEqual(reasonsOf(yield* yours(planIn(home, train(1)))), ["never ran"])
        assert.deepStrictEqual((yield* yours(runIn(home, train(0)))).status, { "train dpo": "hit" })
        const second = yield* yours(runIn(home, train(1)))
        assert.deepStrictEqual(reasonsOf(yield* mine(planIn(home, train(2)))), ["seed changed from 0 to 2"])
        assert.deepStrictEqual(reasonsOf(yield* yours(planIn(home, train(2)))), ["seed changed from 1 to 2"])
        // For people the label is one: the latest result.
        yield* Effect.scoped(Effect.gen(function*() {
          const { ledger } = yield* openHome(home)
          assert.deepStrictEqual((yield* ls(ledger)).map(({ digest }) => digest), [second.digests["train dpo"]])
          assert.strictEqual(yield* resolve(ledger, "train dpo"), second.digests["train dpo"])
          assert.deepStrictEqual((yield* show(ledger, digests["train dpo"]!)).labels, ["train dpo"])
        }))
      })
    ))
})
