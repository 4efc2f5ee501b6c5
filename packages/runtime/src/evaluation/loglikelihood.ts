// Log-likelihoods of continuations, tokenised and cut as lm-eval does it, each question's choices in one pass: choices that
// share the (cut) context are branches of it, and choices that differ in their last token only share a branch.
// Leaves out greedy flags and rolling windows, which no task here reads.
import { BadTokens, type ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Batch } from "../compute/Batch.ts"
import type { Tokenizer } from "../data/tokenizer.ts"
import { rowBudget } from "../training/microBatches.ts"
import type { Subject } from "./Subject.ts"

export interface LoglikelihoodRequest {
  /** Names the question in messages. */
  readonly row: string
  readonly context: string
  readonly continuation: string
}

interface Encoded {
  /** Context and continuation without its last token, as far as the window reaches. */
  readonly fed: ReadonlyArray<number>
  readonly continuation: ReadonlyArray<number>
  readonly truncated: boolean
}

/** With what the tokenizer itself adds, unless the text begins with that already, as chat templates write it. */
export const encodeContext = (text: string, tokenizer: Tokenizer): ReadonlyArray<number> => {
  const { bos } = tokenizer
  return tokenizer.encode(text, bos === undefined || !text.startsWith(tokenizer.decode([bos])))
}

/** Trailing spaces of the context go to the continuation; the continuation is what the whole has beyond the context's length. */
export const encodeRequest = (
  { context, continuation, row }: LoglikelihoodRequest,
  tokenizer: Tokenizer,
  window: number
): Result.Result<Encoded, BadTokens> => {
  const bad = (problem: string) => Result.fail(new BadTokens({ row, problem }))
  let before: ReadonlyArray<number>
  let scored: ReadonlyArray<number>
  if (context === "") {
    const prefix = tokenizer.bos ?? tokenizer.eos
    if (prefix === undefined) {
      return bad("has an empty context, and the tokenizer has neither BOS nor EOS to start from")
    }
    before = [prefix]
    scored = tokenizer.encode(continuation, false)
    if (scored[0] === prefix) scored = scored.slice(1)
  } else {
    before = encodeContext(context.trimEnd(), tokenizer)
    scored = encodeContext(context + continuation, tokenizer).slice(before.length)
  }
  if (scored.length === 0) return bad(`the choice ${JSON.stringify(continuation)} has no token of its own`)
  if (before.length + scored.length < 2) return bad("has an empty context, and the tokenizer adds no BOS to start from")
  if (scored.length > window) return bad(`the choice has ${scored.length} tokens, and the window holds ${window}`)
  if (before.includes(-1) || scored.includes(-1)) return bad("holds text that the vocabulary cannot spell")
  const whole = [...before, ...scored]
  const fed = whole.slice(-(window + 1)).slice(0, -1)
  return Result.succeed({ fed, continuation: scored, truncated: whole.length > window + 1 })
}

/** Fed rows of one question that share the context: a branch is what is fed after it, and the tokens asked of its last row. */
interface Group {
  readonly prompt: ReadonlyArray<number>
  readonly branches: Array<{ readonly fed: ReadonlyArray<number>; readonly lasts: Array<number> }>
  /** Which request each last token belongs to, branch by branch. */
  readonly requests: Array<Array<number>>
}

/** Requests of equal contexts, in order of first appearance. */
const groupsOf = (encoded: ReadonlyArray<Encoded>): ReadonlyArray<Group> => {
  const groups = new Map<string, Group>()
  for (const [r, { continuation, fed }] of encoded.entries()) {
    const prompt = fed.slice(0, fed.length - continuation.length + 1)
    const key = prompt.join()
    const group = groups.get(key) ?? { prompt, branches: [], requests: [] }
    groups.set(key, group)
    const after = continuation.slice(0, -1)
    const same = group.branches.findIndex((branch) => branch.fed.join() === after.join())
    if (same < 0) {
      group.branches.push({ fed: after, lasts: [continuation.at(-1)!] })
      group.requests.push([r])
    } else {
      group.branches[same]!.lasts.push(continuation.at(-1)!)
      group.requests[same]!.push(r)
    }
  }
  return [...groups.values()]
}

/** Groups of equally many branches as a batch: a branch asks its fed tokens, then its last ones of one row. */
const batchOf = (groups: ReadonlyArray<Group>): Batch => {
  const tokens: Array<number> = []
  const positions: Array<number> = []
  const segments: Array<number> = []
  const rows: Array<number> = []
  const predictor: Array<number> = []
  const targets: Array<number> = []
  const lengths: Array<number> = []
  for (const { branches, prompt } of groups) {
    prompt.forEach((token, p) => {
      tokens.push(token)
      positions.push(p)
    })
    segments.push(prompt.length)
    const first = rows.push(tokens.length - 1) - 1
    for (const { fed, lasts } of branches) {
      segments.push(fed.length)
      lengths.push(fed.length + lasts.length)
      let from = first
      fed.forEach((token, j) => {
        predictor.push(from)
        targets.push(token)
        tokens.push(token)
        positions.push(prompt.length + j)
        from = rows.push(tokens.length - 1) - 1
      })
      for (const token of lasts) {
        predictor.push(from)
        targets.push(token)
      }
    }
  }
  return {
    groups: groups.length,
    branches: groups[0]!.branches.length,
    tokens: Int32Array.from(tokens),
    positions: Int32Array.from(positions),
    segments: Int32Array.from(segments),
    rows: Int32Array.from(rows),
    predictor: Int32Array.from(predictor),
    targets: Int32Array.from(targets),
    lengths: Int32Array.from(lengths)
  }
}

const rowsOf = ({ branches, prompt }: Group): number =>
  branches.reduce((sum, { fed }) => sum + fed.length, prompt.length)

/** Groups that run together: equally many branches, a count that the engine takes, and few enough rows. */
const runsOf = (groups: ReadonlyArray<Group>, counts: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<Group>> => {
  const byBranches = Map.groupBy(groups, ({ branches }) => branches.length)
  return [...byBranches.values()].flatMap((alike) => {
    const sorted = alike.toSorted((a, b) => rowsOf(b) - rowsOf(a))
    const runs: Array<ReadonlyArray<Group>> = []
    for (let at = 0; at < sorted.length;) {
      let [count, rows] = [0, 0]
      for (; at + count < sorted.length; count++) {
        rows += rowsOf(sorted[at + count]!)
        if (rows > rowBudget) break
      }
      count = Math.max(1, count)
      const taken = counts.findLast((each) => each <= count) ?? count
      runs.push(sorted.slice(at, at + taken))
      at += taken
    }
    return runs
  })
}

export interface Loglikelihoods {
  /** [requests] nats. */
  readonly values: Float64Array
  /** Questions whose context was cut from the left to fit the window. */
  readonly truncated: number
}

/** Questions in order, the requests of each side by side. */
export const loglikelihoods: (
  subject: Subject,
  questions: ReadonlyArray<ReadonlyArray<LoglikelihoodRequest>>
) => Effect.Effect<Loglikelihoods, ComputeError | BadTokens> = Effect.fnUntraced(
  function*({ numerics, onDone = () => Effect.void, session, tokenizer, window }, questions) {
    const total = questions.reduce((sum, { length }) => sum + length, 0)
    const values = new Float64Array(total)
    const groups: Array<Group> = []
    let [from, truncated, done] = [0, 0, 0]
    for (const question of questions) {
      const encoded = yield* Effect.fromResult(
        Result.all(question.map((request) => encodeRequest(request, tokenizer, window)))
      )
      if (encoded.some((each) => each.truncated)) truncated += 1
      const start = from
      for (const group of groupsOf(encoded)) {
        groups.push({ ...group, requests: group.requests.map((list) => list.map((r) => r + start)) })
      }
      from += question.length
    }
    for (const run of runsOf(groups, numerics.groups)) {
      const logProbs = yield* session.score(batchOf(run))
      let n = 0
      for (const { branches, requests } of run) {
        for (const [b, { fed }] of branches.entries()) {
          let sum = 0
          for (let j = 0; j < fed.length; j++) sum += logProbs[n++]!
          for (const r of requests[b]!) values[r] = sum + logProbs[n++]!
          done += requests[b]!.length
        }
      }
      yield* onDone(done / total)
    }
    return { values, truncated }
  }
)
