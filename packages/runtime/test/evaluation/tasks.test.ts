// Benchmark tasks against what lm-eval 0.4.13 answered: 86 real questions to the small real model, whose window cuts most
// prompts. Contexts, choices and filtered answers must be equal, log-likelihoods within 1e-3.
import { assert, describe, it, layer as shared } from "@effect/vitest"
import type { TaskName } from "@penchant/dsl/Benchmark"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { Engine } from "../../src/compute/Engine.ts"
import { layer } from "../../src/compute/Engines.ts"
import { loadTokenizer } from "../../src/data/tokenizer.ts"
import { encodeRequest } from "../../src/evaluation/loglikelihood.ts"
import { pythonRandom } from "../../src/evaluation/pythonRandom.ts"
import { ask } from "../../src/evaluation/tasks/documents.ts"
import { pythonList } from "../../src/evaluation/tasks/musr.ts"
import { runTask } from "../../src/evaluation/tasks/run.ts"
import type { Task } from "../../src/evaluation/tasks/Task.ts"
import { tasks } from "../../src/evaluation/tasks/tasks.ts"
import { modelOf, readJson, references, stories } from "../compute/fixtures.ts"

interface Golden {
  readonly task: string
  readonly num_fewshot: number
  readonly doc_id: number
  readonly context: string
  readonly continuations?: ReadonlyArray<string>
  readonly lls?: ReadonlyArray<number>
  readonly response?: string
  readonly filtered?: Readonly<Record<string, string>>
  readonly metrics: Readonly<Record<string, number>>
}
const read = (file: string): ReadonlyArray<Golden> =>
  fs.readFileSync(new URL(`lm-eval/${file}`, references), "utf8").trim().split("\n").map((line) => JSON.parse(line))
const goldens = read("stories260K.jsonl")
/** Of rows written by hand: tasks whose own data is not here. */
const handwritten = read("handwritten.jsonl")
const stored = readJson(new URL("lm-eval/rows.json", references))
/** The training rows of GSM8K that the questions draw, at their places among all 7,473. */
const gsm8kPool = Array.from({ length: stored["gsm8k shots"].count }, (_, i) => stored["gsm8k shots"].rows[i])
const poolOf = (task: string) => task === "gsm8k" ? gsm8kPool : stored[`${task} shots`]

const tokenizer = Effect.runSync(Effect.cached(loadTokenizer(fileURLToPath(stories))))
const model = modelOf(stories)

// One engine for all: its sessions serve questions of the same shape again.
shared(layer("onnx", { threads: 2 }))("as lm-eval answers", (it) => {
  const runs = Object.entries(
    Object.groupBy([...goldens, ...handwritten], ({ num_fewshot, task }) => `${task} ${num_fewshot}`)
  )
  assert.strictEqual(goldens.length, 86)
  for (const [name, expected] of runs) {
    const { num_fewshot, task } = expected![0]!
    it.effect(`${name} shots: ${expected!.length} questions`, () =>
      Effect.gen(function*() {
        const { numerics, open } = yield* Engine
        // Its usual 1,024 new tokens do not fit the window.
        const short = task.startsWith("leaderboard_math") ? { maxTokens: 40 } : {}
        const found: Task = { ...tasks[task as TaskName], ...short }
        const decode = (rows: ReadonlyArray<unknown>) => rows.map((row) => row && Schema.decodeSync(found.row)(row))
        const rows = decode(stored[task])
        const session = yield* open(model)
        const { answers, numbers } = yield* runTask(found, rows, {
          shots: num_fewshot,
          ...(poolOf(task) === undefined ? {} : { pool: decode(poolOf(task)) })
        }, { session, numerics, tokenizer: yield* tokenizer, window: 512 })
        assert.strictEqual(answers.length, expected!.length)
        for (const [i, { continuations, context, filtered, lls, metrics, response }] of expected!.entries()) {
          const ours = answers[i]!
          assert.strictEqual(ours.context, context)
          assert.deepStrictEqual(ours.continuations, continuations)
          lls?.forEach((ll, j) => assert.closeTo(ours.lls![j]!, ll, 1e-3))
          assert.strictEqual(ours.response, response)
          assert.deepStrictEqual(ours.filtered, filtered)
          // A mass is as near as the log-likelihoods that it is made of; what is right or wrong must be equal.
          const near = task === "truthfulqa_mc2" ? 1e-3 : 0
          for (const [key, value] of Object.entries(metrics)) assert.closeTo(ours.metrics[key]!, value, near)
        }
        // lm-eval: sample standard deviation over the root of the number.
        for (const key of Object.keys(expected![0]!.metrics)) {
          const values = answers.map(({ metrics }) => metrics[key]!)
          const mean = values.reduce((a, b) => a + b, 0) / values.length
          const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
          assert.closeTo(numbers[key]!, mean, 1e-12)
          const stderr = Math.sqrt(squares / (values.length - 1) / values.length)
          assert.closeTo(numbers[key.replace(",", "_stderr,")]!, stderr, 1e-12)
        }
      }).pipe(Effect.scoped), 60_000)
  }
})

describe("Python's Random", () => {
  it("draws what CPython draws", () => {
    const { random } = pythonRandom(1234)
    assert.deepStrictEqual([random(), random(), random()], [
      0.9664535356921388,
      0.4407325991753527,
      0.007491470058587191
    ])
    const { sample } = pythonRandom(1234)
    assert.deepStrictEqual([1, 2, 3, 4].map(() => sample(7473, 5)), [
      [6374, 3610, 957, 61, 742],
      [7462, 6610, 4769, 286, 5501],
      [5677, 687, 806, 6279, 2905],
      [1939, 142, 252, 6461, 129]
    ])
    assert.deepStrictEqual(pythonRandom(1234).sample(1119, 25), [
      902,
      239,
      15,
      185,
      71,
      171,
      201,
      726,
      484,
      35,
      63,
      32,
      708,
      991,
      949,
      304,
      186,
      374,
      234,
      29,
      1030,
      996,
      511,
      132,
      1108
    ])
  })

  it("refuses a sample larger than what there is", () => {
    assert.throws(() => pythonRandom(1).sample(3, 4), RangeError)
  })
})

describe("bad input", () => {
  it.effect("a choice without a token of its own, and one longer than the window, are refused by row", () =>
    Effect.gen(function*() {
      const loaded = yield* tokenizer
      const problem = (request: { context: string; continuation: string }, window = 512) =>
        Result.match(encodeRequest({ row: "task 7", ...request }, loaded, window), {
          onSuccess: () => "",
          onFailure: ({ message }) => message
        })
      assert.match(problem({ context: "Once", continuation: "" }), /row task 7: .*no token of its own/)
      assert.match(
        problem({ context: "Once", continuation: " upon a time there was" }, 3),
        /row task 7: .*window holds 3/
      )
      const noBos = { ...loaded, bos: undefined, eos: undefined }
      const alone = encodeRequest({ row: "task 7", context: "", continuation: "a" }, noBos, 512)
      assert.isTrue(Result.isFailure(alone) && /neither BOS nor EOS/.test(alone.failure.message))
    }))

  it.effect("text that begins with BOS gets no second one", () =>
    Effect.gen(function*() {
      const loaded = yield* tokenizer
      const fed = (context: string) =>
        Result.getOrThrow(encodeRequest({ row: "task 7", context, continuation: " upon" }, loaded, 512)).fed
      assert.deepStrictEqual(fed("<s>Once")[0], loaded.bos)
      assert.notStrictEqual(fed("<s>Once")[1], loaded.bos)
    }))

  it("too few rows for the worked examples", () => {
    const result = ask(tasks.gsm8k, [{ question: "q", answer: "#### 1" }], {})
    assert.isTrue(
      Result.isFailure(result) && /asks for 5 worked examples, and there are 0/.test(result.failure.message)
    )
  })

  it("a letter decides in MMLU-Pro's row 3983, and a target that is no choice is -1", () => {
    const [row] = stored["leaderboard_mmlu_pro"].slice(-1)
    const mmlu = tasks.leaderboard_mmlu_pro
    assert.isTrue(row.question_id === 3983 && row.answer_index === 1 && mmlu.kind === "choices" && mmlu.gold(row) === 2)
    const snarks = tasks.leaderboard_bbh_snarks
    assert.isTrue(snarks.kind === "choices" && snarks.gold({ input: "?", target: "(C)" }) === -1)
  })

  it("reads Python lists in either quote, with escapes", () => {
    assert.deepStrictEqual(pythonList(`['a', "b's", 'c\\'s', 'd\\n']`), ["a", "b's", "c's", "d\n"])
  })
})
