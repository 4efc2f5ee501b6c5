// `penchant doctor`: what this machine has, which engines run on it, and what to do about those that do not.
import * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { backends, type EngineName } from "../compute/backends.ts"
import { defaultEngine } from "../compute/defaultEngine.ts"
import { Engine } from "../compute/Engine.ts"
import { layer } from "../compute/Engines.ts"
import { choose } from "../compute/tfjs/choice.ts"
import { mathPython } from "../evaluation/tasks/mathPython.ts"
import { type HubSettings, settingsOf } from "../hub/Settings.ts"
import { homeDirectory } from "../platform/home.ts"
import { json, print, printJson } from "./output.ts"
import { version } from "./version.ts"

interface Check {
  readonly name: string
  readonly ok: boolean
  /** Nothing is wrong without it. */
  readonly optional?: true
  readonly found: string
  /** More about it, a line each. */
  readonly details?: ReadonlyArray<string>
  readonly remedy?: string
}

const again = "install again with `npx -y pnpm@12 install`; the engine's binary comes in its npm package"
/** What to do about an engine that does not start. */
const remedies: { readonly [E in EngineName]: Required<Pick<Check, "remedy">> & Pick<Check, "optional"> } = {
  onnx: { remedy: again },
  reference: { remedy: again },
  tfjs: { remedy: again },
  torch: {
    remedy: "only needed for --engine torch: install PyTorch, or set LIBTORCH to the folder of an installed one",
    optional: true
  }
}

/** What there is to say of an engine that runs, beyond its numerics. */
const details: { readonly [E in EngineName]?: () => Promise<ReadonlyArray<string>> } = {
  torch: async () => (await import("../compute/torch/describe.ts")).describe()
}

const engine = (name: EngineName): Effect.Effect<Check> =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(
      Effect.provide(Engine.use((engine) => Effect.succeed(engine.numerics)), Layer.fresh(layer(name)))
    )
    if (Exit.isSuccess(exit)) {
      const { compute, determinism, loss, version } = exit.value
      const more = details[name]
      return {
        name: `engine ${name}`,
        ok: true,
        found: `${version}, ${compute}, ${determinism}, loss ${loss}`,
        ...(more === undefined ? {} : { details: yield* Effect.promise(more) })
      }
    }
    return {
      name: `engine ${name}`,
      ok: false,
      found: Cause.pretty(exit.cause).split("\n")[0]!,
      ...remedies[name]
    }
  })

/** Why tfjs runs on no better backend than it does: the native ones are for the user to install. */
const preferred = (): ReadonlyArray<Check> => {
  const choice = choose()
  return "problem" in choice ? [] : choice.refused.map(({ backend, problem, remedy }) => ({
    name: `tfjs ${backend}`,
    ok: false,
    optional: true,
    found: problem,
    remedy: `only for --engine tfjs: ${remedy}`
  }))
}

const writable = (home: string): Check => {
  const probe = path.join(home, `.doctor-${process.pid}`)
  try {
    fs.mkdirSync(home, { recursive: true })
    fs.writeFileSync(probe, "")
    fs.rmSync(probe)
    const { bavail, bsize } = fs.statfsSync(home)
    const free = bavail * bsize / 2 ** 30
    return {
      name: "state directory",
      ok: free > 1,
      found: `${home}, ${free.toFixed(1)} GiB free`,
      ...(free > 1 ? {} : { remedy: "free some space, or set PENCHANT_HOME to another disk" })
    }
  } catch (error) {
    return {
      name: "state directory",
      ok: false,
      found: `${home}: ${(error as Error).message}`,
      remedy: "make it writable, or set PENCHANT_HOME to a directory that is"
    }
  }
}

const hub = ({ cache, endpoint, offline, token }: HubSettings): Check => ({
  name: "Hugging Face Hub",
  ok: true,
  found: `${endpoint}, ${token === undefined ? "no token" : "with a token"}${
    offline ? ", offline" : ""
  }, cache ${cache}`
})

/** What judges MATH beside equal text and numbers. */
const math = (): Check => {
  const found = mathPython()
  const missing = [
    ...(found?.original === true ? [] : ["exact_match_original is a lower bound"]),
    ...(found?.exact === true ? [] : ["there is no exact_match"])
  ]
  return {
    name: "python for MATH",
    ok: missing.length === 0,
    optional: true,
    found: found === undefined
      ? "none with sympy and antlr4 4.11, or math-verify"
      : `${found.command}: ${Object.entries(found.versions).map((each) => each.join(" ")).join(", ")}`,
    ...(missing.length === 0
      ? {}
      : {
        remedy: `${missing.join(", and ")}: pip install "lm-eval[math]", and PENCHANT_PYTHON to name the interpreter`
      })
  }
}

export const doctor = Command.make("doctor", { json }, ({ json }) =>
  Effect.gen(function*() {
    const node = process.versions.node
    const [major = 0, minor = 0] = node.split(".").map(Number)
    const recent = major > 22 || (major === 22 && minor >= 19)
    const memory = os.totalmem() / 2 ** 30
    const engines = yield* Effect.forEach(Object.keys(backends) as ReadonlyArray<EngineName>, engine)
    const checks: ReadonlyArray<Check> = [
      { name: "penchant", ok: true, found: version },
      {
        name: "node",
        ok: recent,
        found: node,
        ...(recent ? {} : { remedy: "Node 22.19 or newer; the workspace brings its own" })
      },
      {
        name: "cpu",
        ok: true,
        found: `${os.cpus()[0]?.model.trim() ?? "unknown"}, ${os.availableParallelism()} threads`
      },
      {
        name: "memory",
        ok: memory > 2,
        found: `${memory.toFixed(1)} GiB, ${(os.freemem() / 2 ** 30).toFixed(1)} free`
      },
      writable(homeDirectory()),
      hub(settingsOf(process.env)),
      ...engines,
      ...preferred(),
      math(),
      { name: "default engine", ok: true, found: yield* Effect.promise(defaultEngine) }
    ]
    if (json) return printJson(checks)
    for (const { details = [], found, name, ok, optional = false, remedy } of checks) {
      print(`${ok ? "✓" : optional ? "·" : "✗"} ${name.padEnd(18)} ${found}`)
      for (const line of details) print(`  ${"".padEnd(18)} ${line}`)
      if (remedy !== undefined) print(`  ${"".padEnd(18)} → ${remedy}`)
    }
  })).pipe(Command.withDescription("Say which engines run here, and what to do about those that do not"))
