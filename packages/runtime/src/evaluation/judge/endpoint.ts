// One question to an endpoint that speaks OpenAI's chat completions: what its answer means, and whether to ask again.
import { JudgeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { waitOf } from "../../hub/failure.ts"
import { CurrentJudge, openai } from "./settings.ts"
import type { Verdict } from "./verdicts.ts"

/** What is sent, and what a verdict is kept under. */
export interface Request {
  readonly model: string
  readonly messages: ReadonlyArray<{ readonly role: "user"; readonly content: string }>
  readonly temperature: 0
  readonly max_tokens: number
}

const Reply = Schema.fromJsonString(Schema.Struct({
  choices: Schema.NonEmptyArray(Schema.Struct({
    message: Schema.Struct({
      content: Schema.optionalKey(Schema.NullOr(Schema.String)),
      refusal: Schema.optionalKey(Schema.NullOr(Schema.String))
    })
  })),
  usage: Schema.optionalKey(Schema.NullOr(Schema.Struct({
    prompt_tokens: Schema.Int,
    completion_tokens: Schema.Int
  })))
}))
const decode = Schema.decodeUnknownResult(Reply)

/** Worth another try, after `wait` ms where the server says so. */
interface Again {
  readonly again: string
  readonly wait?: number | undefined
  /** The endpoint may have generated, and charged, an answer that did not arrive whole. */
  readonly charged: boolean
}

const tries = 6
/** How long (ms) an interrupted run waits for answers under way, which are paid for. */
const grace = 10_000
/** A server that asks for a longer wait (ms) is not waited for. */
const patience = 120_000

const shortened = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, 200)

/** At most so many tokens: each is a byte of the question at least. */
export const mostTokens = ({ max_tokens, messages }: Request): { readonly input: number; readonly output: number } => ({
  // The template around a message is not ours to see.
  input: messages.reduce((sum, { content }) => sum + Buffer.byteLength(content) + 16, 0),
  output: max_tokens
})

const once = (
  request: Request,
  url: string,
  key: Redacted.Redacted | undefined,
  timeout: number,
  cancelled: AbortSignal
): Promise<Verdict | Again | JudgeError> => {
  const fail = (problem: string, remedy?: string) =>
    new JudgeError({ judge: request.model, problem, ...(remedy === undefined ? {} : { remedy }) })
  const signal = AbortSignal.any([cancelled, AbortSignal.timeout(timeout)])
  const asked = fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` })
    },
    body: JSON.stringify(request),
    signal
  })
  return asked.then(async (response): Promise<Verdict | Again | JudgeError> => {
    const body = await response.text()
    const { status } = response
    if (status === 408 || status === 429 || status >= 500) {
      return { again: `HTTP ${status}`, wait: waitOf(response.headers, Date.now()), charged: false }
    }
    if (status === 401 || status === 403) {
      return fail(`${url} refused the key (HTTP ${status})`, "set PENCHANT_JUDGE_KEY or OPENAI_API_KEY")
    }
    if (!response.ok) return fail(`HTTP ${status} from ${url}: ${shortened(body)}`)
    const reply = decode(body)
    if (Result.isFailure(reply)) return { again: `an answer that is none: ${shortened(body)}`, charged: true }
    const { choices: [{ message }], usage } = reply.success
    const most = mostTokens(request)
    const text = message.content ?? undefined
    return {
      ...(text === undefined || text === "" ? {} : { text }),
      inputTokens: usage?.prompt_tokens ?? most.input,
      outputTokens: usage?.completion_tokens ?? most.output
    }
  }).catch((error: unknown): Again => {
    const problem = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    return {
      again: error instanceof Error && error.name === "TimeoutError"
        ? `no answer within ${timeout / 1000} s`
        : shortened(problem),
      charged: true
    }
  })
}

/** One try. Interrupted, it waits a while for an answer that may be charged, and hands it to `keep`. */
const tried = <E>(
  begin: (cancelled: AbortSignal) => Promise<Verdict | Again | JudgeError>,
  keep: (verdict: Verdict) => Effect.Effect<void, E>
): Effect.Effect<Verdict | Again | JudgeError> =>
  Effect.suspend(() => {
    const stop = new AbortController()
    const trying = begin(stop.signal)
    return Effect.promise(() => trying).pipe(Effect.onInterrupt(() => {
      const timer = setTimeout(() => stop.abort(), grace)
      return Effect.promise(() => trying).pipe(
        Effect.flatMap((late) => "inputTokens" in late ? Effect.ignore(keep(late)) : Effect.void),
        Effect.ensuring(Effect.sync(() => clearTimeout(timer)))
      )
    }))
  })

/** The answer to one question, also handed to `keep`; `onCharged` hears of tries that may have been charged for nothing, and may end it there. */
export const ask = Effect.fnUntraced(
  function*<E, E2>(
    request: Request,
    timeout: number,
    onCharged: Effect.Effect<void, E>,
    keep: (verdict: Verdict) => Effect.Effect<void, E2>
  ): Effect.fn.Return<Verdict, JudgeError | E | E2> {
    const { key, url } = yield* CurrentJudge
    if (key === undefined && url === openai) {
      const remedy = "set PENCHANT_JUDGE_KEY or OPENAI_API_KEY, or PENCHANT_JUDGE_URL for a server without one"
      return yield* new JudgeError({ judge: request.model, problem: `${url} needs a key`, remedy })
    }
    for (let failed = 1;; failed++) {
      const answer = yield* tried((cancelled) => once(request, url, key, timeout, cancelled), keep)
      if (answer instanceof JudgeError) return yield* answer
      if (!("again" in answer)) {
        yield* keep(answer)
        return answer
      }
      if (answer.charged) yield* onCharged
      if (failed === tries || (answer.wait ?? 0) > patience) {
        const problem = `${url} gave no usable answer in ${failed} tries, at last ${answer.again}`
        return yield* new JudgeError({
          judge: request.model,
          problem,
          remedy: "verdicts so far are kept: run again to go on from them"
        })
      }
      yield* Effect.sleep(answer.wait ?? 500 * 2 ** failed)
    }
  }
)
