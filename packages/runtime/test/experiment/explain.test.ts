// A corpus of edits to one experiment: after each, exactly the right steps are no hits, and each says exactly why.
import { assert, describe, it } from "@effect/vitest"
import { reasons } from "@penchant/runtime/experiment/Plan"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { edits } from "./edits.ts"
import { planIn, runIn, withDirectory } from "./fakes.ts"
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
})
