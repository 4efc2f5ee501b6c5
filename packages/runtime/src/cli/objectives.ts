// `penchant objectives`: every shipped objective with its formula, what it needs and its defaults.
import { isCustom, needsOf } from "@penchant/dsl/Objective"
import { toLatex, toText } from "@penchant/dsl/Print"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { json, print, printJson, table } from "./output.ts"

export const objectives = Command.make("objectives", { json }, ({ json }) =>
  Effect.gen(function*() {
    const { all } = yield* Effect.promise(() => import("@penchant/objectives/all"))
    const rows = Object.entries(all).map(([name, { about, choices, make, paper }]) => {
      const objective = make()
      const { loss } = objective
      return {
        name,
        about,
        paper,
        text: isCustom(loss) ? "" : toText(loss.node),
        latex: isCustom(loss) ? "" : toLatex(loss.node),
        needs: [...needsOf(objective)].toSorted(),
        per: objective.per,
        parameters: objective.parameters,
        choices
      }
    })
    if (json) return printJson(rows)
    print(table(
      ["objective", "loss per pair", "needs", "defaults"],
      rows.map(({ choices, name, needs, parameters, text }) => [
        name,
        text,
        needs.includes("reference") ? "reference" : "",
        [
          ...Object.entries(parameters).map(([key, value]) => `${key}=${value}`),
          ...Object.entries(choices).map(([key, [first, ...more]]) => `${key}=${first} (or ${more.join(", ")})`)
        ].join(" ")
      ])
    ))
    print("\nw: chosen answer, l: rejected; log-ratio: policy against reference; mean: per token; σ: sigmoid")
  })).pipe(Command.withDescription("List the objectives with their formulas, needs and defaults"))
