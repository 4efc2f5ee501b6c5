// What Python has for MATH, found without importing it: sympy with antlr4, which lm-eval's `exact_match_original` asks, and
// math-verify, which is its `exact_match`. PENCHANT_PYTHON names an interpreter; else that of the active environment or `python3`.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import * as path from "node:path"

export interface MathPython {
  /** The interpreter. */
  readonly command: string
  /** Whether it can tell two answers equal by sympy ... */
  readonly original: boolean
  /** ... and by math-verify. */
  readonly exact: boolean
  /** Of what changes verdicts: identity. */
  readonly versions: Readonly<Record<string, string>>
}

const Found = Schema.fromJsonString(Schema.Record(Schema.String, Schema.NullOr(Schema.String)))

/** Module -> the distribution that says its version. */
const packages = {
  sympy: "sympy",
  antlr4: "antlr4-python3-runtime",
  math_verify: "math-verify",
  latex2sympy2_extended: "latex2sympy2_extended"
}

const script = `
import importlib.util as u, importlib.metadata as m, json, sys
found = {}
for module, package in json.loads(sys.argv[1]).items():
    if u.find_spec(module) is None: found[module] = None
    else:
        try: found[module] = m.version(package)
        except m.PackageNotFoundError: found[module] = "unknown"
print(json.dumps(found))
`

const bin = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python3"]

const interpreter = (environment: NodeJS.ProcessEnv): string => {
  const given = environment["PENCHANT_PYTHON"]
  if (given !== undefined && given !== "") return given
  const active = [environment["VIRTUAL_ENV"], environment["CONDA_PREFIX"]].find((dir) =>
    dir !== undefined && dir !== ""
  )
  return active === undefined ? "python3" : path.join(active, ...bin)
}

/** Undefined where there is no Python, or none of the packages in it. */
export const findMathPython = (environment: NodeJS.ProcessEnv = process.env): MathPython | undefined => {
  const command = interpreter(environment)
  const { status, stdout } = spawnSync(command, ["-c", script, JSON.stringify(packages)], {
    encoding: "utf8",
    timeout: 10_000,
    env: environment
  })
  const found = status === 0 ? Schema.decodeResult(Found)(stdout) : undefined
  if (found === undefined || Result.isFailure(found)) return undefined
  const { antlr4, math_verify, sympy } = found.success
  // sympy reads LaTeX by this version of antlr4 and refuses others.
  const original = typeof sympy === "string" && typeof antlr4 === "string" && antlr4.startsWith("4.11")
  const exact = typeof math_verify === "string"
  if (!original && !exact) return undefined
  const versions = Object.entries(found.success).flatMap(([name, version]) => version === null ? [] : [[name, version]])
  return { command, original, exact, versions: Object.fromEntries(versions) }
}

let known: MathPython | undefined | "unknown" = "unknown"
/** Looked for once, and only where a pipeline asks MATH. */
export const mathPython = (): MathPython | undefined => {
  if (known === "unknown") known = findMathPython()
  return known
}
