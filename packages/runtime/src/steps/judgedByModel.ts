// Win rate by a model here: how much likelier it finds one verdict than the other after the question.
import { JudgeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Engine } from "../compute/Engine.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { covers } from "../evaluation/bootstrap.ts"
import { questions } from "../evaluation/judge/questions.ts"
import { placesOf, winRateOf } from "../evaluation/judge/winRate.ts"
import { loglikelihoods } from "../evaluation/loglikelihood.ts"
import { loadedArchitecture } from "../model/families.ts"
import { loadModel } from "../model/load.ts"
import { contestsOf } from "./contests.ts"
import { folderOf, json, lines, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { Asked } from "./judgedByEndpoint.ts"

const Parameters = Schema.Struct(Asked)

export const judgedByModel: Implementation = {
  computes: true,
  run: Effect.fn("judgedByModel")(function*(job) {
    const { difficulty, order, question, ties } = parametersOf(job, Parameters)
    const { numerics, open } = yield* Engine
    const contests = yield* contestsOf(job, difficulty)
    const folder = yield* folderOf(job, "model")
    const tokenizer = yield* loadTokenizer(folder)
    const model = yield* loadModel(folder)
    const { ask, verdict } = questions[question]
    const asked = contests.flatMap((contest, c) =>
      placesOf(contest, order).map((place) => {
        const [a, b] = place === "A" ? [contest.own, contest.other] : [contest.other, contest.own]
        return { c, place, context: `${ask(contest.prompt, a, b)}\n\n${verdict}` }
      })
    )
    const { truncated, values } = yield* loglikelihoods(
      { session: yield* open(model), numerics, tokenizer, window: loadedArchitecture(model.config).maxPositions },
      asked.map(({ c, context }) =>
        [" A", " B"].map((continuation) => ({ row: contests[c]!.id, context, continuation }))
      )
    )
    const preferences = contests.map((): Array<number> => [])
    const given = asked.map(({ c, place }, i) => {
      // Probability of the model's place among the two verdicts.
      const [own, other] = place === "A" ? [values[2 * i]!, values[2 * i + 1]!] : [values[2 * i + 1]!, values[2 * i]!]
      const preference = 1 / (1 + Math.exp(other - own))
      preferences[c]!.push(preference)
      return { id: contests[c]!.id, place, preference }
    })
    const numbers = winRateOf(contests, preferences, ties)
    if (numbers === undefined) {
      return yield* new JudgeError({ judge: job.label, problem: "every contest is a tie, and ties are left out" })
    }
    return {
      kind: "Scores",
      meta: { ...numbers, winRateCut: truncated },
      files: {
        "scores.json": json({ prompts: contests.length, numbers, interval: covers }),
        "verdicts.jsonl": lines(given)
      }
    }
  }, Effect.scoped)
}
