// Win rate by an endpoint's verdicts. Each verdict is kept as it comes, under what was asked and for all steps to come.
import { BudgetSpent, JudgeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { covers } from "../evaluation/bootstrap.ts"
import { ask, mostTokens, type Request } from "../evaluation/judge/endpoint.ts"
import { questions, verdictIn } from "../evaluation/judge/questions.ts"
import { type Verdict, verdicts } from "../evaluation/judge/verdicts.ts"
import { placesOf, winRateOf } from "../evaluation/judge/winRate.ts"
import { Progress } from "../platform/Progress.ts"
import { contestsOf } from "./contests.ts"
import { json, lines, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

export const Asked = {
  question: Schema.Literals(["hh", "tldr", "tldrSimple"]),
  order: Schema.Literals(["both", "seeded"]),
  ties: Schema.Literals(["half", "loss", "leftOut"]),
  difficulty: Schema.optionalKey(Schema.String)
}
const Parameters = Schema.Struct({ ...Asked, model: Schema.String, maxTokens: Schema.Int })

/** Manners and limits; see `EndpointOptions` in the language. */
const Manners = Schema.Struct({
  tokens: Schema.optionalKey(Schema.Finite),
  cost: Schema.optionalKey(Schema.Finite),
  prices: Schema.optionalKey(Schema.Struct({ input: Schema.Finite, output: Schema.Finite })),
  timeout: Schema.optionalKey(Schema.Finite),
  concurrency: Schema.optionalKey(Schema.Int)
})

export const judgedByEndpoint: Implementation = {
  computes: false,
  run: Effect.fn("judgedByEndpoint")(function*(job) {
    const { difficulty, maxTokens, model, order, question, ties } = parametersOf(job, Parameters)
    const { concurrency = 4, cost, prices = { input: 0, output: 0 }, timeout = 60, tokens } = Schema.decodeUnknownSync(
      Manners
    )(job.step.attached)
    const progress = yield* Progress
    const contests = yield* contestsOf(job, difficulty)
    const kept = verdicts(job.shared)
    const asked = contests.flatMap((contest, c) =>
      placesOf(contest, order).map((place) => {
        const [a, b] = place === "A" ? [contest.own, contest.other] : [contest.other, contest.own]
        const content = questions[question].ask(contest.prompt, a, b)
        const request: Request = { model, messages: [{ role: "user", content }], temperature: 0, max_tokens: maxTokens }
        return { c, place, request }
      })
    )
    const found: Array<Verdict | undefined> = []
    for (const { request } of asked) found.push(yield* kept.read(request))

    /** Of verdicts that are kept, and of questions under way at most. */
    const spent = { input: 0, output: 0 }
    const charge = ({ input, output }: typeof spent, sign = 1): void => {
      spent.input += sign * input
      spent.output += sign * output
    }
    const usage = ({ inputTokens, outputTokens }: Verdict) => ({ input: inputTokens, output: outputTokens })
    for (const verdict of found) if (verdict !== undefined) charge(usage(verdict))
    const price = ({ input, output }: typeof spent): number => (input * prices.input + output * prices.output) / 1e6
    const over = (next: typeof spent) => {
      const all = { input: spent.input + next.input, output: spent.output + next.output }
      const stop = (of: string, budget: number, now: number) =>
        new BudgetSpent({
          judge: model,
          of,
          spent: now,
          budget,
          verdicts: found.filter((each) => each !== undefined).length,
          questions: asked.length
        })
      return tokens !== undefined && all.input + all.output > tokens
        ? stop("tokens", tokens, spent.input + spent.output)
        : cost !== undefined && price(all) > cost
        ? stop("cost", cost, price(spent))
        : undefined
    }

    const one = Effect.fnUntraced(function*(i: number, request: Request) {
      const most = mostTokens(request)
      const stopped = over(most)
      if (stopped !== undefined) return yield* stopped
      charge(most)
      // A try that failed may have been charged: what was set aside for it is spent, and the next needs as much again.
      const again = Effect.suspend(() => {
        const beyond = over(most)
        return beyond === undefined ? Effect.sync(() => charge(most)) : Effect.fail(beyond)
      })
      const verdict = yield* ask(request, 1000 * timeout, again, (found) => kept.write(request, found))
      charge(most, -1)
      charge(usage(verdict))
      found[i] = verdict
      const done = found.filter((each) => each !== undefined).length
      yield* progress.emit({ _tag: "StepProgress", label: job.label, done, total: asked.length, unit: "verdict" })
    })
    // After a failure no question is begun, but those under way are paid for and may end.
    let failure: Effect.Error<ReturnType<typeof one>> | undefined
    yield* Effect.forEach(
      asked.entries(),
      ([i, { request }]) =>
        Effect.suspend(() => found[i] === undefined && failure === undefined ? one(i, request) : Effect.void).pipe(
          Effect.catch((error) => Effect.sync(() => (failure ??= error)))
        ),
      { concurrency, discard: true }
    )
    if (failure !== undefined) return yield* failure

    const preferences = contests.map((): Array<number | undefined> => [])
    for (const [i, { c, place }] of asked.entries()) {
      const verdict = verdictIn(found[i]!.text ?? "")
      preferences[c]!.push(verdict === undefined ? undefined : Number(verdict === place))
    }
    const numbers = winRateOf(contests, preferences, ties)
    if (numbers === undefined) {
      const said = found.find((each) => each?.text !== undefined)?.text ?? "nothing"
      return yield* new JudgeError({
        judge: model,
        problem: `none of ${asked.length} verdicts could be read, such as ${JSON.stringify(said.slice(-120))}`,
        remedy: "a larger maxTokens, or another judge"
      })
    }
    return {
      kind: "Scores",
      meta: numbers,
      files: {
        "scores.json": json({
          judge: model,
          prompts: contests.length,
          numbers,
          spent: { ...spent, cost: price(spent) },
          interval: covers
        }),
        "verdicts.jsonl": lines(
          asked.map(({ c, place }, i) => Object.assign({ id: contests[c]!.id, place }, found[i]))
        )
      }
    }
  })
}
