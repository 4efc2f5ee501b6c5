// What is in a key and what is not, and what nodes are called.
import { assert, describe, it } from "@effect/vitest"
import { study, train } from "@penchant/dsl"
import type { Kind } from "@penchant/dsl/Artifact"
import { minus, policy, sum } from "@penchant/dsl/Formula"
import { canonical } from "@penchant/dsl/Identity"
import { objective } from "@penchant/dsl/Objective"
import { type AnyStep, make, type Step, withPolicy } from "@penchant/dsl/Step"
import { installation, packagesCode } from "@penchant/runtime/experiment/code"
import { type Facts, graph, stepsOf } from "@penchant/runtime/experiment/graph"
import { CurrentHome } from "@penchant/runtime/experiment/Home"
import { modulesOf } from "@penchant/runtime/experiment/keys"
import { reasons } from "@penchant/runtime/experiment/Plan"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { numerics, planIn, runIn, step, withDirectory } from "./fakes.ts"

const keyOf = (home: string, target: Step<Kind>, options = {}) =>
  Effect.map(planIn(home, { target }, options), (plan) => plan.get("target")!.planKey)

const nowhere: Facts = {
  code: { digest: "c", files: {} },
  modules: new Map(),
  numerics: undefined,
  sources: new Map(),
  computes: () => false,
  outside: () => undefined,
  directory: "/"
}
const planKey = (target: AnyStep): string => graph(stepsOf([target]), nowhere, new WeakMap()).of(target).planKey

const shuffled = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).toReversed().map(([key, item]) => [key, shuffled(item)]))
}

describe("a key", () => {
  const Leaf = Schema.Union([Schema.String, Schema.Int, Schema.Boolean, Schema.Null])
  const Data = Schema.Record(
    Schema.String,
    Schema.Union([Leaf, Schema.Array(Leaf), Schema.Record(Schema.String, Leaf)])
  )

  it.prop("is the same in any order of keys and inputs, and another for any other value", [Data, Data], ([a, b]) => {
    // Through JSON: what the generator calls -0 is not what pipelines hold.
    const [left, right] = [a, b].map((value) => JSON.parse(JSON.stringify(value)) as object)
    const rows = step("rows", left)
    const model = step("model", { m: 1 })
    const one = planKey(step("tokenise", left, { rows, model }))
    assert.strictEqual(planKey(step("tokenise", shuffled(left), { model, rows: step("rows", shuffled(left)) })), one)
    const same = canonical(left) === canonical(right)
    assert.strictEqual(planKey(step("tokenise", right, { rows, model })) === one, same)
    assert.strictEqual(planKey(step("tokenise", left, { rows: step("rows", right), model })) === one, same)
  })

  it.effect("leaves out policy, titles and paths, and takes in content, kind, names of inputs and numerics", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        for (const name of ["a.jsonl", "b.jsonl"]) fs.writeFileSync(path.join(home, name), "same")
        fs.writeFileSync(path.join(home, "c.jsonl"), "Same")
        const from = (file: string, title = "read") =>
          step("rows", {}, {}, { sources: { file: path.join(home, file) }, title })
        const key = (target: Step<Kind>, options = {}) => keyOf(home, target, options)
        const a = yield* key(from("a.jsonl"))
        assert.strictEqual(yield* key(from("b.jsonl", "another title")), a)
        assert.strictEqual(yield* key(withPolicy(from("a.jsonl"), { retries: 9, timeout: 1 }) as Step<Kind>), a)
        assert.notStrictEqual(yield* key(from("c.jsonl")), a)
        const rows = from("a.jsonl")
        const one = yield* key(step("train", {}, { data: rows }))
        assert.notStrictEqual(yield* key(step("extend", {}, { data: rows })), one)
        assert.notStrictEqual(yield* key(step("train", {}, { model: rows })), one)
        assert.notStrictEqual(yield* key(step("train", {}, { data: from("c.jsonl") })), one)
        assert.notStrictEqual(
          yield* key(step("train", {}, { data: rows }), { numerics: { ...numerics, version: "2" } }),
          one
        )
        // What does not compute does not care for the engine.
        assert.strictEqual(yield* key(from("a.jsonl"), { numerics: { ...numerics, version: "2" } }), a)
        // Where sums may differ from run to run anyway, how groups are cut is no identity.
        const seeded = { ...numerics, determinism: "seeded" as const }
        assert.strictEqual(
          yield* key(step("train", {}, { data: rows }), { numerics: seeded }),
          yield* key(step("train", {}, { data: rows }), { numerics: { ...seeded, groups: [8] } })
        )
      })
    ))

  it.effect("of NaN does not exist: the step cannot run, with the path of the parameter", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const plan = yield* planIn(home, { bad: step("rows", { a: { b: [1, Number.NaN] } }, {}, { title: "read" }) })
        assert.deepStrictEqual(reasons(plan.get("bad")!.verdict), [
          "bad cannot run: read: parameters.a.b[1] is NaN, which has no canonical form, so the step has no key"
        ])
      })
    ))

  it.effect("takes in data that code imports", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { ledger } = yield* CurrentHome
        const { files } = yield* packagesCode(ledger, installation())
        assert.property(files, "runtime/src/evaluation/tasks/bbhShots.json")
      }).pipe(Effect.provide(CurrentHome.layer(home)))
    ))

  it("takes in the module of a custom objective", () => {
    const custom = objective.custom({ url: "file:///x/mine.ts" }, "mine", {
      parameters: {},
      needs: ["policy"],
      value: () => new Float64Array(),
      coefficients: () => ({})
    })
    const weights = make<never, never>({ kind: "model" })
    assert.deepStrictEqual(modulesOf(train(custom as never, { model: weights, data: weights } as never)), [
      "file:///x/mine.ts"
    ])
    const formula = objective("margin", {}, () => minus(sum(policy("rejected")), sum(policy("chosen"))))
    assert.deepStrictEqual(modulesOf(train(formula as never, { model: weights, data: weights } as never)), [])
  })

  it.live("of equal steps is one node, with the policy of the one that has one", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const stuck = () => step("rows", { n: 1 }, {}, { behave: () => Effect.never })
        const { report } = yield* runIn(home, {
          end: step("pairs", {}, { a: stuck(), b: withPolicy(stuck(), { timeout: 0.01 }) })
        })
        assert.strictEqual(report.outcomes.length, 2)
        assert.match(report.outcomes[0]!.problem!, /no result within 0\.01 s/)
      })
    ))
})

describe("labels", () => {
  const point = (beta: number, title = "train dpo") => {
    const rows = step("rows", {}, {}, { title: "read" })
    const data = step("tokenise", { part: "train" }, { rows }, { title: "tokenise" })
    const test = step("tokenise", { part: "test" }, { rows }, { title: "tokenise" })
    const trained = step("train", { beta }, { data }, { title })
    const scores = step("score", {}, { model: trained, data: test }, { title: "score" })
    const again = step("score", { second: true }, { model: trained, data: test }, { title: "score" })
    return step("metric", {}, { scores, again, data: test }, { title: "accuracy" })
  }

  it.effect("are the export's, its owner's and title, or the title of what is shared; unique, whatever the order", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const targets = { "study/b=2": point(2), "study/b=1": point(1) }
        const labels = [...(yield* planIn(home, targets)).keys()].toSorted()
        assert.deepStrictEqual(labels, [
          "read",
          "study/b=1",
          "study/b=1 › score (again of study/b=1)",
          "study/b=1 › score (scores of study/b=1)",
          "study/b=1 › train dpo",
          "study/b=2",
          "study/b=2 › score (again of study/b=2)",
          "study/b=2 › score (scores of study/b=2)",
          "study/b=2 › train dpo",
          "tokenise (data of study/b=1 › train dpo)",
          "tokenise (data of study/b=1)"
        ])
        const other = { "study/b=1": point(1), "study/b=2": point(2) }
        assert.deepStrictEqual([...(yield* planIn(home, other)).keys()].toSorted(), labels)
      })
    ))

  it.effect("name a result that two exports share by both", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { report } = yield* runIn(home, { b: point(1), a: point(1) })
        const node = report.outcomes.find(({ exported }) => exported)!
        assert.deepStrictEqual([node.label, node.aliases], ["a", ["b"]])
      })
    ))

  it.effect("are found again when another result comes to share the node", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const target = (maxLength: number, kind: "metric" | "scores") => {
          const rows = step("rows", {}, {}, { title: "read" })
          return step(kind, {}, { data: step("tokenise", { maxLength }, { rows }, { title: "tokenise" }) })
        }
        yield* runIn(home, { one: target(1, "metric") })
        const plan = yield* planIn(home, { one: target(2, "metric"), two: target(2, "scores") })
        assert.deepStrictEqual(reasons(plan.get("tokenise")!.verdict), ["maxLength changed from 1 to 2"])
        assert.deepStrictEqual(reasons(plan.get("two")!.verdict), ["never ran"])
      })
    ))

  it("of a study are those of its points", () => {
    const { points } = study("s", [{ beta: 1 }, { beta: 2 }], ({ beta }) => point(beta))
    assert.deepStrictEqual(points.map(({ label }) => label), ["beta=1", "beta=2"])
  })
})
