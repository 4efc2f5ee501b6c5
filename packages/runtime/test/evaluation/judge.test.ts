// Judges against a loopback server that misbehaves in every way a real one does, and win rates worked by hand.
import { assert, describe, it } from "@effect/vitest"
import { Model } from "@penchant/dsl/Model"
import { type EndpointOptions, judge, winRate, type WinRateOptions } from "@penchant/dsl/WinRate"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { Engine } from "../../src/compute/Engine.ts"
import { layer } from "../../src/compute/Engines.ts"
import { numerics } from "../../src/compute/numerics.ts"
import { lengthControlled } from "../../src/evaluation/judge/lengthControlled.ts"
import { questions, verdictIn } from "../../src/evaluation/judge/questions.ts"
import { CurrentJudge, type JudgeSettings, openai, settingsOf } from "../../src/evaluation/judge/settings.ts"
import { placesOf, winRateOf } from "../../src/evaluation/judge/winRate.ts"
import { Progress } from "../../src/platform/Progress.ts"
import type { Job } from "../../src/steps/Implementation.ts"
import { judgedByEndpoint } from "../../src/steps/judgedByEndpoint.ts"
import { judgedByModel } from "../../src/steps/judgedByModel.ts"
import { stories } from "../compute/fixtures.ts"
import { fastClock } from "../hub/fastClock.ts"
import { scratch } from "../training/scratch.ts"

type Pairs = ReadonlyArray<{ readonly prompt: string; readonly own: string; readonly chosen: string }>

/** A step of judging with its inputs as files in `directory`. */
const jobOf = (
  directory: string,
  pairs: Pairs,
  options: Partial<WinRateOptions> = {},
  limits: EndpointOptions = {}
): Job => {
  const model = Model.named("stories260K", { dir: "x" })
  const write = (name: string, rows: ReadonlyArray<object>) => {
    const at = path.join(directory, name)
    fs.writeFileSync(at, rows.map((row) => `${JSON.stringify(row)}\n`).join(""))
    return { digest: name, kind: "Tokens", meta: {}, files: { [name]: at } }
  }
  const by = judge.endpoint("any-judge", { concurrency: 1, ...limits })
  const tokens = { title: "data", inputs: {} } as never
  const files = fs.readdirSync(fileURLToPath(stories)).map((name) => [name, path.join(fileURLToPath(stories), name)])
  return {
    step: winRate(tokens, { judge: by, question: "hh", maxTokens: 8, ...options }).on(model as never),
    policy: {},
    label: "winRate",
    inputs: {
      model: { digest: "m", kind: "Weights", meta: {}, files: Object.fromEntries(files) },
      answers: write("answers.jsonl", pairs.map(({ own }, i) => ({ id: `${i}`, answers: [{ text: own }] }))),
      pairs: write(
        "pairs.jsonl",
        pairs.map(({ chosen, prompt }, i) => ({ id: `${i}`, prompt, chosen, rejected: "no", columns: {} }))
      )
    },
    scratch: path.join(directory, "scratch"),
    shared: path.join(directory, "shared"),
    actionKey: "",
    identity: {}
  }
}

const key = "sk-secret-of-a-test"
interface Served {
  readonly url: string
  /** Questions that got a whole answer with status 200, and the tokens charged for them. */
  readonly answered: Array<string>
  readonly tokens: () => number
  readonly headers: Array<http.IncomingHttpHeaders>
}
type Reply = (question: string, response: http.ServerResponse, times: number) => void

const content = (text: string | null, extra: object = {}) => (response: http.ServerResponse) =>
  response.end(JSON.stringify({
    choices: [{ message: { role: "assistant", content: text, ...extra } }],
    usage: { prompt_tokens: 100, completion_tokens: 20 }
  }))

/** Answers on loopback by `reply`; closed with the scope. `times` counts the askings of one question. */
const serve = (reply: Reply) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const times = new Map<string, number>()
      const answered: Array<string> = []
      const headers: Array<http.IncomingHttpHeaders> = []
      const server = http.createServer((request, response) => {
        let body = ""
        request.on("data", (chunk: Buffer) => (body += chunk.toString()))
        request.on("end", () => {
          const question = (JSON.parse(body) as { messages: [{ content: string }] }).messages[0].content
          times.set(question, (times.get(question) ?? 0) + 1)
          headers.push(request.headers)
          const end = response.end.bind(response)
          response.end = ((...args: Parameters<typeof end>) => {
            if (response.statusCode === 200) answered.push(question)
            return end(...args)
          }) as typeof response.end
          reply(question, response, times.get(question)!)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
      const served: Served = { url, answered, headers, tokens: () => 120 * answered.length }
      return { server, served }
    }),
    ({ server }) =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  ).pipe(Effect.map(({ served }) => served))

/** An endpoint needs none. */
const noEngine = Layer.succeed(Engine, { numerics: numerics.onnx, open: () => Effect.die("opened") })

const asked = (job: Job, at: Served | JudgeSettings) =>
  judgedByEndpoint.run(job).pipe(
    Effect.provideService(CurrentJudge, "key" in at ? at : { url: at.url, key: Redacted.make(key) }),
    Effect.provide(Layer.merge(noEngine, Progress.silent))
  )

const between = (question: string, from: string, to: string): string => question.split(from)[1]!.split(to)[0]!.trim()
/** A judge that likes the longer answer. */
const longer = (question: string): "A" | "B" =>
  between(question, "Response A:", "Response B:").length > between(question, "Response B:", "FIRST").length ? "A" : "B"
const say = (verdict: string) => content(`Comparison: one is better.\nMore helpful: ${verdict}`)

const pairs: Pairs = [
  { prompt: "\n\nHuman: hi\n\nAssistant:", own: "a long answer", chosen: "short" },
  { prompt: "\n\nHuman: two\n\nAssistant:", own: "tiny", chosen: "a longer answer" },
  { prompt: "\n\nHuman: three\n\nAssistant:", own: "the same", chosen: " the same" },
  { prompt: "\n\nHuman: four\n\nAssistant:", own: "mumble, mumble", chosen: "fourth" },
  { prompt: "\n\nHuman: five\n\nAssistant:", own: "always the first", chosen: "fifth" }
]

describe("a judge at an endpoint", () => {
  it.live("gives wins, ties, and what could not be read, apart", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const server = yield* serve((question, response) =>
        question.includes("four")
          ? question.indexOf("mumble") < question.indexOf("fourth")
            ? content("I would rather not say.")(response)
            : content(null, { refusal: "no" })(response)
          : say(question.includes("five") ? "A" : longer(question))(response)
      )
      const done = yield* asked(jobOf(directory, pairs), server)
      // A win, a loss, a tie of equal answers, one unreadable, one tie of two orders.
      const { winRateControlled, winRateHigh, winRateLow, ...rest } = done.meta as Record<string, number>
      assert.deepStrictEqual(rest, { winRate: 0.5, winRateTies: 2, winRateUnparsable: 1, winRateJudged: 4 })
      assert.isTrue(winRateLow! < 0.5 && winRateHigh! > 0.5 && winRateControlled! > 0 && winRateControlled! < 1)
      assert.strictEqual(server.answered.length, 8)
      assert.isTrue(server.headers.every(({ authorization }) => authorization === `Bearer ${key}`))
      assert.isTrue(server.answered[0]!.includes("Query: Human: hi\n\nResponse A:\na long answer"))

      const loss = yield* asked(jobOf(directory, pairs, { ties: "loss" }), server)
      assert.strictEqual((loss.meta as Record<string, number>)["winRate"], 0.25)
      const out = yield* asked(jobOf(directory, pairs, { ties: "leftOut" }), server)
      assert.strictEqual((out.meta as Record<string, number>)["winRateJudged"], 2)
      // Other rules over the same verdicts cost nothing.
      assert.strictEqual(server.answered.length, 8)
    }).pipe(Effect.scoped))

  it.live("is asked again after 429, 500, silence, half an answer and nonsense, waiting as long as the server says", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const { provide, slept } = fastClock()
      const server = yield* serve((question, response, times) => {
        if (times === 1) response.writeHead(429, { "retry-after": "7" }).end("slow down")
        else if (times === 2) response.writeHead(500).end()
        else if (times === 3) void "silence"
        else if (times === 4) {
          response.writeHead(200, { "content-length": "1000" })
          response.write(`{"choices":[{"mess`)
          setTimeout(() => response.destroy(), 10)
        } else if (times === 5) response.end("<html>gateway</html>")
        else say(longer(question))(response)
      })
      const one = jobOf(directory, pairs.slice(0, 1), { order: "seeded" }, { timeout: 0.3 })
      const done = yield* provide(asked(one, server))
      assert.strictEqual((done.meta as Record<string, number>)["winRate"], 1)
      assert.deepStrictEqual(slept.filter((ms) => ms >= 1000), [7000, 2000, 4000, 8000, 16_000])
      // Three tries may have been charged.
      const { spent } = JSON.parse(new TextDecoder().decode(done.files["scores.json"] as Uint8Array))
      assert.isAbove(spent.output, 3 * 256)
    }).pipe(Effect.scoped))

  it.live("is given up in words when it never answers, when the key is refused, and without a key", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const { provide } = fastClock()
      const failing = (status: number, headers = {}) =>
        Effect.flatMap(
          serve((_, response) => response.writeHead(status, headers).end(`{"error":"${key}"}`)),
          (server) => Effect.flip(provide(asked(jobOf(directory, pairs), server)))
        )
      assert.match((yield* failing(503)).message, /no usable answer in 6 tries, at last HTTP 503.*run again/)
      assert.match((yield* failing(429, { "retry-after": "4000" })).message, /in 1 tries, at last HTTP 429/)
      const refused = yield* failing(401)
      assert.match(refused.message, /refused the key \(HTTP 401\).*PENCHANT_JUDGE_KEY/)
      assert.notInclude(refused.message, key)
      assert.match((yield* failing(400)).message, /HTTP 400/)
      // Nothing is sent where a key is needed and there is none.
      const none = settingsOf({ OPENAI_API_KEY: " " })
      assert.deepStrictEqual(none, { url: openai, key: undefined })
      const keyless = yield* Effect.flip(asked(jobOf(directory, pairs), none))
      assert.match(keyless.message, /api\.openai\.com\/v1 needs a key \(set PENCHANT_JUDGE_KEY/)
    }).pipe(Effect.scoped))

  it.live("stops before its budget is passed, and goes on from there with a larger one", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const server = yield* serve((question, response) => say(longer(question))(response))
      const spending = (limits: EndpointOptions) => asked(jobOf(directory, pairs, {}, limits), server)
      const stopped = yield* Effect.flip(spending({ tokens: 1200 }))
      assert.strictEqual(stopped._tag, "BudgetSpent")
      assert.match(stopped.message, /of 1200 tokens are spent.*of 8 verdicts are kept/)
      const before = server.answered.length
      assert.isTrue(before > 0 && before < 8 && server.tokens() <= 1200)
      const prices = { input: 1, output: 10 }
      const poor = yield* Effect.flip(spending({ cost: 0.0035, prices }))
      assert.match(poor.message, /of 0.0035 cost/)
      yield* spending({ tokens: 100_000 })
      assert.strictEqual(server.answered.length, 8)
      assert.strictEqual(new Set(server.answered).size, 8)
    }).pipe(Effect.scoped))

  it.live("asks not again what might then cost more than the budget", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const { provide } = fastClock()
      const server = yield* serve(() => void "silence")
      // One question has 256 tokens of answer and about 600 bytes: room for one, not for two.
      const one = jobOf(directory, pairs.slice(0, 1), { order: "seeded" }, { timeout: 0.2, tokens: 1200 })
      const stopped = yield* Effect.flip(provide(asked(one, server)))
      assert.strictEqual(stopped._tag, "BudgetSpent")
      assert.strictEqual(server.headers.length, 1)
    }).pipe(Effect.scoped))

  it.live("loses no verdict when the run is cut off", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const reached = yield* Deferred.make<void>()
      let cut = true
      const server = yield* serve((question, response) => {
        const answer = () => say(longer(question))(response)
        if (!cut || server.answered.length < 3) return answer()
        // Under way when the run is cut off, answered just after: it is paid for.
        Deferred.doneUnsafe(reached, Effect.void)
        setTimeout(answer, 200)
      })
      const fiber = yield* Effect.forkChild(asked(jobOf(directory, pairs), server))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      cut = false
      assert.strictEqual(server.answered.length, 4)
      yield* asked(jobOf(directory, pairs), server)
      assert.strictEqual(server.answered.length, 8)
      assert.strictEqual(new Set(server.answered).size, 8)
    }).pipe(Effect.scoped))

  it.live("that says nothing readable is an error, not a rate", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => content("Both are fine.")(response))
      const failed = yield* Effect.flip(asked(jobOf(yield* scratch, pairs.slice(0, 2)), server))
      assert.match(failed.message, /none of 4 verdicts could be read, such as "Both are fine."/)
    }).pipe(Effect.scoped))
})

describe("a model as judge", () => {
  it.live("prefers one answer as much as it dislikes the other", () =>
    Effect.gen(function*() {
      const rate = (some: Pairs) =>
        Effect.gen(function*() {
          const done = yield* judgedByModel.run(jobOf(yield* scratch, some))
          return done.meta as Record<string, number>
        })
      const some = pairs.slice(0, 1)
      const numbers = yield* rate(some)
      const swapped = yield* rate(some.map(({ chosen, own, prompt }) => ({ prompt, own: chosen, chosen: own })))
      assert.closeTo(numbers["winRate"]! + swapped["winRate"]!, 1, 1e-6)
      assert.notStrictEqual(numbers["winRate"], 0.5)
      assert.strictEqual(numbers["winRateJudged"], 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("onnx", { threads: 2 }), Progress.silent))), 120_000)
})

describe("win rates", () => {
  it("read the last verdict line, in quotes or not", () => {
    assert.strictEqual(verdictIn("Comparison: A is short.\nPreferred: \"B\""), "B")
    assert.strictEqual(verdictIn("More helpful: A\nMore helpful: B"), "B")
    assert.strictEqual(verdictIn("I prefer A. Preferred: A"), undefined)
    assert.strictEqual(verdictIn("Preferred: Both"), undefined)
    assert.include(questions.tldr.ask("p", "x", "y"), "Summary A:\nx\n\nSummary B:\ny")
    assert.notInclude(questions.tldrSimple.ask("p", "x", "y"), "concise")
  })

  it("draw one order for each prompt, the same each time", () => {
    const places = (id: string) => placesOf({ id, prompt: "", own: "x", other: "y" }, "seeded")
    const all = Array.from({ length: 200 }, (_, i) => places(`${i}`).join(""))
    assert.deepStrictEqual(all, Array.from({ length: 200 }, (_, i) => places(`${i}`).join("")))
    const first = all.filter((place) => place === "A").length
    assert.isTrue(first > 70 && first < 130)
  })

  // Soft preferences that length and difficulty move, from integers.
  const contests = (n: number) => {
    const from = (of: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => of(i))
    const lengths = from((i) => 3 * ((i * 37) % 101 - 40))
    const difficulties = from((i) => ((i * 53) % 17 - 8) / 4)
    const preferences = from((i) => {
      const z = 0.3 + 0.8 * Math.tanh(lengths[i]! / 120) - 0.5 * difficulties[i]!
      return (i * 29) % 11 / 20 + 0.5 / (1 + Math.exp(-z))
    })
    return { difficulties, lengths, preferences }
  }

  it("at equal lengths are what scikit-learn's LogisticRegression(penalty=\"l1\", solver=\"liblinear\") makes of them", () => {
    // references/lengthControlled.py with scikit-learn 1.9.1.
    const expected = [[40, 0.5636509534, 0.5607143517], [200, 0.5242604069, 0.5242755145]] as const
    for (const [n, byLength, byDifficulty] of expected) {
      const { difficulties, lengths, preferences } = contests(n)
      assert.closeTo(lengthControlled(preferences, lengths), byLength, 1e-6)
      assert.closeTo(lengthControlled(preferences, lengths, difficulties), byDifficulty, 1e-6)
    }
  })

  it("at equal lengths turn over with the answers, and are half where length alone wins", () => {
    const { difficulties, lengths, preferences } = contests(60)
    const rate = lengthControlled(preferences, lengths, difficulties)
    const turned = [preferences.map((p) => 1 - p), lengths.map((l) => -l), difficulties.map((d) => -d)] as const
    assert.closeTo(lengthControlled(turned[0], turned[1], difficulties), 1 - rate, 1e-6)
    assert.closeTo(lengthControlled(preferences, lengths, turned[2]), rate, 1e-6)
    // Three of four are won, all by the longer answer.
    const longer = Float64Array.from({ length: 40 }, (_, i) => (i % 4 === 3 ? -100 : 100))
    const byLength = lengthControlled(longer.map((l) => (l > 0 ? 0.8 : 0.2)), longer)
    assert.closeTo(byLength, 0.5, 0.02)
    // Without a difference of lengths it is the win rate, as far as the penalty lets it.
    const same = Float64Array.from({ length: 100 }, (_, i) => (i % 4 === 0 ? 0 : 1))
    assert.closeTo(lengthControlled(same, new Float64Array(100)), 0.75, 1e-3)
  })

  it("have no number when nothing is left to count", () => {
    const contest = { id: "0", prompt: "", own: "x", other: "x" }
    assert.isUndefined(winRateOf([contest], [[]], "leftOut"))
    assert.strictEqual(winRateOf([contest], [[]], "half")!["winRate"], 0.5)
  })
})
