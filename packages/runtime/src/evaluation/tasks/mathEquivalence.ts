// Verdicts of sympy and math-verify on MATH's answers, from a Python of its own: a line of JSON for each question, one for
// each answer. Comparisons are those of lm-eval 0.4.13, lm_eval/tasks/leaderboard/math/utils.py.
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { MathPython } from "./mathPython.ts"

export interface MathQuestion {
  /** What the model wrote, and what the data set has. */
  readonly response: string
  readonly solution: string
  /** Both answers normalised; undefined where the response has none. */
  readonly answer: string | undefined
  readonly gold: string
}

/** Each is there where Python can tell it. */
const Verdict = Schema.Struct({
  original: Schema.optionalKey(Schema.Boolean),
  exact: Schema.optionalKey(Schema.Boolean)
})
export type MathVerdict = typeof Verdict.Type
const Line = Schema.fromJsonString(Schema.Union([Schema.Struct({ error: Schema.String }), Verdict]))

/** The interpreter ended, raised, said something else, or kept silent. */
export class MathPythonFailed extends Schema.TaggedError<MathPythonFailed>()("MathPythonFailed", {
  command: Schema.String,
  /** Questions that were answered before. */
  answered: Schema.Int,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.command} gave no verdict on answer ${this.answered}: ${this.problem}`
  }
}

/** A second for two expressions, as lm-eval gives it; math-verify has limits of its own. */
const script = `
import json, signal, sys
out, sys.stdout = sys.stdout, sys.stderr
parts = sys.argv[1].split(",")
if "original" in parts:
    import sympy
    from sympy.parsing.latex import parse_latex
    # What this imports takes its second, and cut off there it would never parse again.
    sympy.simplify(parse_latex("1") - parse_latex("1"))
if "exact" in parts:
    from math_verify import LatexExtractionConfig, parse, verify

class TimedOut(BaseException): pass
def stop(*_): raise TimedOut()

def same(a, b):
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(1)
    try: return bool(sympy.simplify(parse_latex(a) - parse_latex(b)) == 0)
    except ImportError: raise
    except (Exception, TimedOut): return False
    finally: signal.alarm(0)

for line in sys.stdin:
    q = json.loads(line)
    try:
        said = {}
        if "original" in parts: said["original"] = q.get("answer") is not None and same(q["answer"], q["gold"])
        if "exact" in parts:
            right = parse(q["solution"], extraction_config=[LatexExtractionConfig()])
            said["exact"] = bool(verify(right, parse(q["response"])))
    except Exception as e: said = {"error": f"{type(e).__name__}: {e}"[:300]}
    print(json.dumps(said), file=out, flush=True)
`

/** Seconds for one question; what hangs in C hears no alarm. */
const patience = 60

const started = ({ command, exact, original }: MathPython, environment: NodeJS.ProcessEnv) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const parts = [...(original ? ["original"] : []), ...(exact ? ["exact"] : [])]
      const child = spawn(command, ["-c", script, parts.join()], { stdio: ["pipe", "pipe", "pipe"], env: environment })
      let said = ""
      // Its end is told by its lines ending.
      child.on("error", (error) => (said = error.message))
      child.stdin.on("error", () => undefined)
      child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)))
      return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator](), lastSaid: () => said.trim() }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** One for each question, in order. The interpreter ends with the scope. */
export const mathVerdicts = Effect.fnUntraced(function*(
  python: MathPython,
  questions: ReadonlyArray<MathQuestion>,
  { environment = process.env, seconds = patience }: {
    readonly environment?: NodeJS.ProcessEnv
    readonly seconds?: number
  } = {}
) {
  const { child, lastSaid, lines } = yield* started(python, environment)
  const verdicts: Array<MathVerdict> = []
  const failed = (problem: string) =>
    new MathPythonFailed({ command: python.command, answered: verdicts.length, problem })
  for (const question of questions) {
    child.stdin.write(`${JSON.stringify(question)}\n`)
    const line = yield* Effect.promise(() => lines.next()).pipe(
      Effect.timeoutOrElse({
        duration: 1000 * seconds,
        orElse: () => Effect.fail(failed(`no answer within ${seconds} s`))
      })
    )
    if (line.done === true) {
      // What it said last arrives with its end.
      const problem = lastSaid().split("\n").at(-1)!
      return yield* failed(problem === "" ? "it ended" : `it ended: ${problem}`)
    }
    const said = Schema.decodeResult(Line)(line.value)
    if (Result.isFailure(said) || Object.keys(said.success).length === 0) {
      return yield* failed(`it said ${JSON.stringify(String(line.value).slice(0, 200))}`)
    }
    if ("error" in said.success) return yield* failed(said.success.error)
    verdicts.push(said.success)
  }
  return verdicts
}, Effect.scoped)
