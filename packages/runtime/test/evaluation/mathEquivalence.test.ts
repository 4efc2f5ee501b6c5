// What Python tells of MATH's answers: found, asked and believed as it should be, with stand-ins for sympy and math-verify.
// Answers of equal value without Python, worked by hand.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { sameValue } from "../../src/evaluation/tasks/latexValue.ts"
import { type MathQuestion, mathVerdicts } from "../../src/evaluation/tasks/mathEquivalence.ts"
import { findMathPython } from "../../src/evaluation/tasks/mathPython.ts"
import { type Event, Progress } from "../../src/platform/Progress.ts"
import { mathEquivalence } from "../../src/steps/mathEquivalence.ts"
import { references } from "../compute/fixtures.ts"
import { scratch } from "../training/scratch.ts"

const standIns = fileURLToPath(new URL("python", references))
const { CONDA_PREFIX: _, PENCHANT_PYTHON: __, VIRTUAL_ENV: ___, ...rest } = process.env
const environment = { ...rest, PYTHONPATH: standIns }
const python = findMathPython(environment)
// Steps look in the environment of the process.
for (const name of ["CONDA_PREFIX", "PENCHANT_PYTHON", "VIRTUAL_ENV"]) delete process.env[name]
process.env["PYTHONPATH"] = standIns
if (python === undefined) console.log("SKIPPED: MATH by Python: there is no python3")

const answers = (answer: string | undefined, gold: string, response = "It is 4."): MathQuestion => ({
  response,
  solution: `So it is ${gold}.`,
  answer,
  gold
})

describe.skipIf(python === undefined)("Python", () => {
  const ask = (questions: ReadonlyArray<MathQuestion>, seconds = 20) =>
    Effect.result(mathVerdicts(python!, questions, { environment, seconds }))
  const problem = (questions: ReadonlyArray<MathQuestion>, seconds?: number) =>
    Effect.map(ask(questions, seconds), (said) => (Result.isFailure(said) ? said.failure.message : ""))

  it("is found with its packages and their versions, or not at all", () => {
    const { command, versions, ...has } = python!
    assert.deepStrictEqual([command, has], ["python3", { original: true, exact: true }])
    const { latex2sympy2_extended: _, ...known } = versions
    assert.deepStrictEqual(known, { sympy: "1.14.0", antlr4: "4.11.1", math_verify: "0.8.0" })
    assert.isUndefined(findMathPython({ ...environment, PENCHANT_PYTHON: "/no/such/python" }))
    // One that speaks, but has none of them.
    assert.isUndefined(findMathPython({ ...environment, PENCHANT_PYTHON: "true" }))
  })

  it.live("tells each answer apart, in order, whatever it prints besides", () =>
    Effect.gen(function*() {
      const said = yield* ask([
        answers("\\frac{8}{2}", "4"),
        answers("5", "4"),
        answers(undefined, "4"),
        answers("noise", "4"),
        answers("\\frac{1}{2}", "\\frac{2}{4}", "It is 17.")
      ])
      assert.deepStrictEqual(Result.getOrThrow(said), [
        { original: true, exact: true },
        { original: false, exact: true },
        { original: false, exact: true },
        { original: false, exact: true },
        { original: true, exact: false }
      ])
    }))

  it.live("has a second for an answer of sympy's, and goes on with the next", () =>
    Effect.gen(function*() {
      const said = yield* ask([answers("hang", "4"), answers("4", "4")])
      assert.deepStrictEqual(Result.getOrThrow(said).map(({ original }) => original), [false, true])
    }))

  it.live("that ends, raises or keeps silent is a typed failure that says where", () =>
    Effect.gen(function*() {
      assert.include(yield* problem([answers("4", "4"), answers("exit", "4")]), "gave no verdict on answer 1: it ended")
      assert.include(yield* problem([answers("4", "4", "raise")]), "answer 0: RuntimeError: no such thing")
      assert.include(yield* problem([answers("hang", "4")], 0.2), "answer 0: no answer within 0.2 s")
      const other = { ...python!, command: "cat" }
      const silent = yield* Effect.flip(mathVerdicts(other, [answers("4", "4")], { environment, seconds: 5 }))
      assert.include(silent.message, "cat gave no verdict on answer 0: it ended")
      const none = yield* Effect.flip(mathVerdicts({ ...python!, command: "/no/such" }, [answers("4", "4")], {}))
      assert.include(none.message, "/no/such")
    }))
})

describe.skipIf(python === undefined)("a step of verdicts", () => {
  const ends = (answer: string) => `Final Answer: The final answer is $${answer}$. I hope it is correct.`
  const judged = (responses: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const write = (name: string, text: string) => {
        fs.writeFileSync(path.join(directory, name), text)
        return path.join(directory, name)
      }
      const doc = { problem: "?", solution: "It is $\\boxed{4}$.", level: "Level 5" }
      const sample = { doc, exact_match_original: 0, exact_match_numeric: 1, metrics: ["exact_match_original"] }
      const samples = responses.map((response) => `${JSON.stringify({ ...sample, resps: [[response]] })}\n`)
      const task = "leaderboard_math_algebra_hard"
      const row = { name: task, "exact_match_original,none": 0 }
      const results = { results: { [task]: row }, configs: { [task]: {} }, higher_is_better: {} }
      const events: Array<Event> = []
      const numbers = {
        m: "exact_match_numeric,none",
        mOriginal: "exact_match_original,none",
        mVerified: "exact_match,none"
      }
      const files = {
        "samples.jsonl": write("samples.jsonl", samples.join("")),
        "results.json": write("results.json", JSON.stringify(results))
      }
      const done = yield* mathEquivalence.run({
        step: { parameters: { numbers } },
        label: "verdicts",
        inputs: { asked: { digest: "", kind: "Scores", meta: { m: 1, mOriginal: 0, mQuestions: 2 }, files } }
      } as never).pipe(
        Effect.provide(
          Layer.succeed(Progress, Progress.of({ emit: (event) => Effect.sync(() => void events.push(event)) }))
        )
      ) as unknown as Effect.Effect<{ readonly meta: object; readonly files: Record<string, unknown> }>
      return { done, events, task }
    })

  it.live("adds what Python says to a task's numbers, and its versions to the record", () =>
    Effect.scoped(Effect.gen(function*() {
      const { done, events, task } = yield* judged([ends("\\frac{8}{2}"), "It is 4."])
      const stderr = 0.5
      assert.deepStrictEqual(done.meta, {
        m: 1,
        mStderr: 0,
        mOriginal: 0.5,
        mOriginalStderr: stderr,
        mVerified: 0.5,
        mVerifiedStderr: stderr,
        mQuestions: 2,
        mTextAlone: 0
      })
      const { configs, results } = JSON.parse(new TextDecoder().decode(done.files["results.json"] as Uint8Array))
      assert.strictEqual(results[task]["exact_match,none"], 0.5)
      assert.deepStrictEqual(configs[task].math_equivalence, python!.versions)
      const lines = new TextDecoder().decode(done.files["samples.jsonl"] as Uint8Array).trim().split("\n")
      assert.deepStrictEqual(lines.map((line) => JSON.parse(line).exact_match), [0, 1])
      assert.deepStrictEqual(events, [])
    })))

  it.live("leaves its metrics out where Python fails, and says so", () =>
    Effect.scoped(Effect.gen(function*() {
      const { done, events } = yield* judged([ends("4"), "raise"])
      assert.deepStrictEqual(done.meta, { m: 1, mOriginal: 0, mQuestions: 2, mTextAlone: 1 })
      assert.deepStrictEqual(events.map((event) => event._tag), ["Warning"])
      assert.include(
        (events[0] as { readonly message: string }).message,
        "RuntimeError: no such thing; its metrics are left out"
      )
    })))
})

describe("answers of one value", () => {
  const equal: ReadonlyArray<readonly [string, string]> = [
    ["2\\frac{1}{2}", "\\frac{5}{2}"],
    ["-1\\frac{3}{4}", "-1.75"],
    ["50\\%", "50"],
    ["\\sqrt{8}", "2\\sqrt{2}"],
    ["\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"],
    ["4\\pi", "\\pi\\cdot4"],
    ["(0.5,3)", "\\left(\\frac{1}{2},3\\right)"],
    ["[0,\\infty)", "[0, \\infty)"],
    ["(-\\infty,0.5]", "(-\\infty,\\frac{1}{2}]"],
    ["\\{1,2,3\\}", "\\{3,1,2\\}"],
    ["1,-2", "-2,1"],
    ["(2,3]\\cup[0,1)", "[0,1)\\cup(2,\\frac{6}{2}]"],
    ["\\begin{pmatrix}1&0.5\\\\0&2\\end{pmatrix}", "\\begin{bmatrix}1&\\frac{1}{2}\\\\0&2\\end{bmatrix}"],
    ["1\\pm\\sqrt{3}", "1-\\sqrt{3},1+\\sqrt{3}"],
    ["(x,\\frac{1}{2})", "(x,0.5)"]
  ]
  const different: ReadonlyArray<readonly [string, string]> = [
    ["(1,2)", "(2,1)"],
    ["(1,2)", "[1,2)"],
    ["\\{1,1,2\\}", "\\{1,2,2\\}"],
    ["1,2", "1,2,3"],
    ["\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"],
    ["50\\%", "0.5"],
    ["x+1", "1+x"],
    ["(1,2)", "12"],
    ["2\\frac{3}{2}", "\\frac{7}{2}"]
  ]
  it.each(equal)("%s is %s", (a, b) => assert.isTrue(sameValue(a, b) && sameValue(b, a)))
  it.each(different)("%s is not %s", (a, b) => assert.isFalse(sameValue(a, b) || sameValue(b, a)))
})
