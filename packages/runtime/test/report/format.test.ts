import { assert, it } from "@effect/vitest"
import { settingsIn } from "../../src/report/format.ts"

it("settings of a group are told one by one", () => {
  assert.deepStrictEqual(
    settingsIn({
      seed: 0,
      order: "given",
      lora: { rank: 4, targets: ["q_proj", "v_proj"] },
      freeze: ["a.*"],
      reference: undefined
    }),
    { seed: 0, order: "given", "lora.rank": 4, "lora.targets": "q_proj v_proj", freeze: "a.*" }
  )
})
