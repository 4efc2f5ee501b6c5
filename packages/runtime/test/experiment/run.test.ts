// What runs and what is taken from the store.
import { assert, describe, it } from "@effect/vitest"
import { BadRow } from "@penchant/dsl/Errors"
import { Executor } from "@penchant/dsl/Step"
import { Experiment } from "@penchant/runtime/experiment/Experiment"
import { reasons } from "@penchant/runtime/experiment/Plan"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Behave, experiment, planIn, recorder, runIn, step, withDirectory } from "./fakes.ts"

/** rows -> pairs -> tokens <- model; two trainings that share them; a metric of each. */
const pipeline = ({ seed = 0, maxLength = 384, beta = 0.1 } = {}) => {
  const rows = step("rows", { from: "inline" }, {}, { title: "read rows" })
  const pairs = step("pairs", {}, { rows }, { title: "normalise" })
  const model = step("model", { id: "tiny" }, {}, { title: "load model" })
  const data = step("tokenise", { maxLength }, { data: pairs, model }, { title: "tokenise" })
  const train = (objective: string, parameters: object) =>
    step("train", { objective, ...parameters }, { model, data }, { title: `train ${objective}` })
  const a = train("dpo", { beta, seed })
  const b = train("simpo", { seed })
  return {
    "study/dpo": step("metric", {}, { model: a, data }, { title: "metric" }),
    "study/simpo": step("metric", {}, { model: b, data }, { title: "metric" })
  }
}

const all = [
  "load model",
  "normalise",
  "read rows",
  "study/dpo",
  "study/dpo › train dpo",
  "study/simpo",
  "study/simpo › train simpo",
  "tokenise"
]

describe("run", () => {
  it.effect("runs every step once, and nothing the second time", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const first = yield* runIn(home, pipeline())
        assert.deepStrictEqual(first.ran, all)
        assert.isTrue(Object.values(first.status).every((status) => status === "ran"))
        const second = yield* runIn(home, pipeline())
        assert.deepStrictEqual(second.ran, [])
        assert.isTrue(Object.values(second.status).every((status) => status === "hit"))
        assert.deepStrictEqual(second.digests, first.digests)
        assert.strictEqual(second.engines, 0)
        assert.strictEqual(second.events.filter(({ _tag }) => _tag === "StepHit").length, 8)
        // Nothing is left of the work but results.
        assert.deepStrictEqual(fs.readdirSync(path.join(home, "scratch")), [])
      })
    ))

  it.effect("knows nothing of a step that was not asked for", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { "study/dpo": dpo, "study/simpo": simpo } = pipeline()
        const { report } = yield* runIn(home, { "study/dpo": dpo })
        assert.strictEqual(report.outcomeOf(dpo)?.status, "ran")
        assert.isUndefined(report.outcomeOf(simpo))
      })
    ))

  it.effect("runs exactly what depends on a changed parameter", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        yield* runIn(home, pipeline())
        assert.deepStrictEqual((yield* runIn(home, pipeline({ beta: 0.2 }))).ran, [
          "study/dpo",
          "study/dpo › train dpo"
        ])
        assert.deepStrictEqual((yield* runIn(home, pipeline({ maxLength: 512 }))).ran, [
          "study/dpo",
          "study/dpo › train dpo",
          "study/simpo",
          "study/simpo › train simpo",
          "tokenise"
        ])
        // And back: everything is still there.
        assert.deepStrictEqual((yield* runIn(home, pipeline())).ran, [])
      })
    ))

  it.effect("stops where a result comes out the same as before", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const constant: Behave = () =>
          Effect.succeed({ kind: "pairs", meta: { count: 3 }, files: { a: Buffer.from("same") } })
        const at = (n: number) => {
          const rows = step("rows", { n }, {}, { behave: constant })
          return { end: step("metric", {}, { data: step("tokenise", {}, { rows }, { title: "tokenise" }) }) }
        }
        assert.strictEqual((yield* runIn(home, at(1))).ran.length, 3)
        const plan = yield* planIn(home, at(2))
        assert.deepStrictEqual([...plan.values()].map(({ label, verdict }) => [label, verdict._tag]), [
          ["end › rows", "Run"],
          ["end › tokenise", "MaybeCutoff"],
          ["end", "MaybeCutoff"]
        ])
        assert.deepStrictEqual(reasons(plan.get("end")!.verdict), ["input \"data\" changed: end › tokenise"])
        assert.deepStrictEqual((yield* runIn(home, at(2))).ran, ["end › rows"])
      })
    ))

  it.effect("does equal steps once, whoever asks, and both ways of asking agree", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const record = recorder()
        const slow: Behave = () =>
          Effect.as(Effect.promise(() => new Promise((done) => setTimeout(done, 30))), {
            kind: "rows",
            meta: { count: 1 },
            files: {}
          })
        const twin = () => step("rows", { n: 1 }, {}, { behave: slow })
        const artifacts = yield* Effect.all([twin(), twin(), twin()], { concurrency: "unbounded" }).pipe(
          Effect.provide(experiment(home, record))
        )
        assert.strictEqual(record.ran.length, 1)
        assert.deepStrictEqual(artifacts[0], artifacts[2])
        assert.deepStrictEqual(artifacts[0]!.meta, { count: 1 })
        const { digests, ran } = yield* runIn(home, { again: twin() })
        assert.deepStrictEqual(ran, [])
        assert.strictEqual(digests["again"], artifacts[0]!.digest)
      })
    ))

  it.effect("goes on with everything that does not need a failed step, and reports the first error as it is", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const bad = new BadRow({ file: "x.jsonl", row: "3", problem: "no" })
        const failing = step("rows", { bad: true }, {}, { title: "bad", behave: () => Effect.fail(bad) })
        const good = step("rows", { good: true }, {}, { title: "good" })
        const slow: Behave = (job) =>
          Effect.promise(() => new Promise((done) => setTimeout(done, 50))).pipe(
            Effect.andThen(Effect.succeed({ kind: "pairs", meta: { of: job.label }, files: {} }))
          )
        const targets = {
          fails: step("pairs", {}, { rows: failing }),
          works: step("pairs", {}, { rows: good }, { behave: slow }),
          both: step("tokenise", {}, { rows: failing, other: good }),
          deep: step("metric", {}, { data: step("tokenise", { n: 1 }, { rows: failing }) })
        }
        const { report, status } = yield* runIn(home, targets)
        assert.deepStrictEqual(status, {
          "bad": "failed",
          "good": "ran",
          "works": "ran",
          "fails": "blocked",
          "both": "blocked",
          "deep › tokenise": "blocked",
          "deep": "blocked"
        })
        assert.strictEqual(report.failure?.label, "bad")
        assert.strictEqual(Cause.squash(report.failure!.cause), bad)
        assert.strictEqual(report.outcomes.find(({ label }) => label === "deep")!.problem, "bad: x.jsonl, row 3: no")
        // A program gets the error itself, and a failed step is tried anew the next time.
        const error = yield* Effect.flip(Executor.use(({ run }) => run(targets.deep))).pipe(
          Effect.provide(experiment(home, recorder()))
        )
        assert.strictEqual(error as unknown, bad)
        assert.deepStrictEqual((yield* runIn(home, targets)).ran, ["bad"])
      })
    ))

  it.effect("fails the steps that need a missing file, with the file", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const rows = step("rows", {}, {}, { sources: { file: "missing.jsonl" }, title: "read" })
        const targets = { end: step("pairs", {}, { rows }), other: step("model", { id: 1 }) }
        const plan = yield* planIn(home, targets, { directory: home })
        assert.deepStrictEqual(plan.get("end")!.verdict, {
          _tag: "Blocked",
          by: "end › read",
          problem: `${home}/missing.jsonl: no such file; paths are relative to the working directory`
        })
        assert.strictEqual(plan.get("other")!.verdict._tag, "Run")
        const { report, status } = yield* runIn(home, targets, { directory: home })
        assert.deepStrictEqual(status, { "end › read": "failed", "end": "blocked", "other": "ran" })
        assert.strictEqual((Cause.squash(report.failure!.cause) as { readonly _tag: string })._tag, "BadFile")
        fs.writeFileSync(path.join(home, "missing.jsonl"), "{}")
        assert.deepStrictEqual((yield* runIn(home, targets, { directory: home })).ran, ["end", "end › read"])
      })
    ))

  it.live("interrupts implementations and waits for their finalisers; scratch survives, the lease does not", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const started = yield* Deferred.make<void>()
        let interrupt = true
        const behave: Behave = ({ scratch }) =>
          Effect.suspend(() => {
            const cursor = path.join(scratch, "cursor")
            const before = fs.existsSync(cursor) ? fs.readFileSync(cursor, "utf8") : "0"
            if (!interrupt) return Effect.succeed({ kind: "rows", meta: { resumedAt: Number(before) }, files: {} })
            fs.writeFileSync(cursor, "7")
            return Deferred.succeed(started, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Effect.andThen(Effect.sleep(60), Effect.sync(() => void log.push("saved"))))
            )
          })
        const target = step("rows", { n: 1 }, {}, { behave })
        const fiber = yield* Effect.forkChild(runIn(home, { target }))
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(log, ["saved"])
        interrupt = false
        const { report } = yield* runIn(home, { target })
        assert.deepStrictEqual(report.outcomes[0]!.artifact!.meta, { resumedAt: 7 })
      })
    ))

  it.live("tries again as often as the policy says, and gives up after its time", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        let attempts = 0
        const flaky: Behave = () =>
          ++attempts < 2
            ? Effect.fail(new BadRow({ file: "f", row: "1", problem: "flaky" }))
            : Effect.succeed({ kind: "rows", meta: { attempts }, files: {} })
        const first = yield* runIn(home, { flaky: step("rows", {}, {}, { behave: flaky, policy: { retries: 1 } }) })
        assert.deepStrictEqual(first.report.outcomes[0]!.artifact!.meta, { attempts: 2 })
        assert.deepStrictEqual(first.events.filter(({ _tag }) => _tag === "Warning"), [{
          _tag: "Warning",
          label: "flaky",
          message: "attempt 1 of 2 failed, trying again: f, row 1: flaky"
        }])
        const stuck = step("rows", { stuck: 1 }, {}, { behave: () => Effect.never, policy: { timeout: 0.05 } })
        const { report } = yield* runIn(home, { stuck })
        assert.strictEqual(report.outcomes[0]!.problem, "stuck: no result within 0.05 s")
        assert.strictEqual((Cause.squash(report.failure!.cause) as { readonly _tag: string })._tag, "StepTimeout")
      })
    ))

  it.live("gives the engine to one step at a time, and cores to the others", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const now = { computing: 0, other: 0 }
        const most = { computing: 0, other: 0 }
        const counted = (which: "computing" | "other"): Behave => (job) =>
          Effect.gen(function*() {
            now[which]++
            most[which] = Math.max(most[which], now[which])
            yield* Effect.sleep(20)
            now[which]--
            return { kind: job.step.kind, meta: {}, files: {} }
          })
        const targets = Object.fromEntries([0, 1, 2, 3, 4, 5].flatMap((n) => [
          [`train ${n}`, step("train", { n }, {}, { behave: counted("computing") })],
          [`rows ${n}`, step("rows", { n }, {}, { behave: counted("other") })]
        ]))
        const { ran } = yield* runIn(home, targets, { concurrency: 3 })
        assert.strictEqual(ran.length, 12)
        assert.deepStrictEqual(most, { computing: 1, other: 3 })
      })
    ))

  it.effect("refuses a source that changes while a step reads it", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const file = path.join(home, "rows.jsonl")
        fs.writeFileSync(file, "1")
        const edits: Behave = () =>
          Effect.sync(() => {
            fs.writeFileSync(file, "22")
            return { kind: "rows", meta: {}, files: {} }
          })
        const { report } = yield* runIn(home, { rows: step("rows", {}, {}, { sources: { file }, behave: edits }) })
        assert.strictEqual(report.outcomes[0]!.problem, `${file}: changed while it was being read; run again`)
      })
    ))

  it.effect("stores only what it can: NaN in a result is an error that names it", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const nan: Behave = () => Effect.succeed({ kind: "scores", meta: { accuracy: Number.NaN }, files: {} })
        const zero: Behave = () => Effect.succeed({ kind: "scores", meta: { change: -0 }, files: {} })
        const { report } = yield* runIn(home, {
          nan: step("scores", { n: 1 }, {}, { behave: nan }),
          zero: step("scores", { n: 2 }, {}, { behave: zero })
        })
        assert.deepStrictEqual(report.outcomes.map(({ status }) => status), ["failed", "ran"])
        assert.strictEqual(
          report.outcomes[0]!.problem,
          "result of kind scores: meta.accuracy is NaN, which has no canonical form, so it cannot be stored"
        )
        assert.isTrue(Object.is((report.outcomes[1]!.artifact!.meta as { readonly change: number }).change, 0))
      })
    ))

  it.effect("starts the engine when a step opens it, and checks that it is the one that was planned", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { Engine } = yield* Effect.promise(() => import("@penchant/runtime/compute/Engine"))
        const { engine, numerics } = yield* Effect.promise(() => import("./fakes.ts"))
        const opens: Behave = () =>
          Effect.scoped(
            Effect.flatMap(
              Engine,
              ({ open }) => open({ config: {}, names: [], shapes: [], parameters: new Float32Array() })
            )
          ).pipe(Effect.as({ kind: "train", meta: {}, files: {} }), Effect.orDie)
        const record = recorder()
        const options = { engine: engine(record, { ...numerics, version: "2" }) }
        const train = step("train", {}, {}, {
          behave: (job) => Effect.catchDefect(opens(job), (d) => Effect.fail(d as BadRow))
        })
        const { report } = yield* runIn(home, { train }, options)
        assert.strictEqual(record.engines, 1)
        assert.include(report.outcomes[0]!.problem, "computes otherwise than was planned")
      })
    ))

  it.effect("keeps a list of what a program came across", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const one = step("rows", { n: 1 }, {}, { title: "rows" })
        const two = step("rows", { n: 2 }, {}, { title: "rows" })
        const outcomes = yield* Effect.gen(function*() {
          yield* one
          yield* two
          return yield* Experiment.use((experiment) => experiment.outcomes)
        }).pipe(Effect.provide(experiment(home, recorder())))
        assert.deepStrictEqual(outcomes.map(({ label, status }) => [label.replace(/ [0-9a-f]{8}$/, " #"), status]), [
          ["rows", "ran"],
          ["rows #", "ran"]
        ])
      })
    ))
})
