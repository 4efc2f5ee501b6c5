// Flags that several commands share, and `--set path=value`: policy and engine options by name, never identity in silence.
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { defaultEngine } from "../compute/defaultEngine.ts"
import type { EngineName } from "../compute/Engines.ts"
import { backendNames } from "../compute/tfjs/choice.ts"
import type { RuntimeOptions } from "../Runtime.ts"

/** `--set` names something that cannot be set, or gives it a value that it cannot have. */
export class BadSetting extends Schema.TaggedError<BadSetting>()("BadSetting", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `--set ${this.setting}: ${this.problem}`
  }
}

const engines: ReadonlyArray<EngineName> = ["onnx", "torch", "tfjs", "reference"]

export const file = Argument.String("file").pipe(
  Argument.withDescription("A pipeline file, such as pipelines/quickstart.ts")
)
export const engine = Flag.Literals("engine", engines).pipe(
  Flag.withDescription(
    "What computes: onnx (CPU, float32), torch (an installed PyTorch, float32), tfjs (TensorFlow.js, float32: a "
      + "native binding if one is installed, else wasm) or reference (plain TypeScript, float64, slow); default torch on a CUDA GPU that an installed PyTorch can use, else onnx"
  ),
  Flag.optional,
  Flag.mapEffect(Option.match({ onNone: () => Effect.promise(defaultEngine), onSome: Effect.succeed }))
)
export const home = Flag.String("home").pipe(
  Flag.optional,
  Flag.withDescription("State directory; default PENCHANT_HOME, else .penchant")
)
export const set = Flag.KeyValuePair("set").pipe(
  Flag.withDefault({} as Record<string, string>),
  Flag.withDescription(
    "threads, device and kernels (of torch), tfjs.backend, retries, timeout, checkpointEvery or checkpointSeconds, as name=value"
  )
)

/** name -> where it goes and what it is. A device is cpu, cuda or cuda:1; kernels are none; a backend of tfjs node-gpu, node or wasm. */
const settable = {
  threads: { at: "engine", a: "number" },
  device: { at: "engine", a: "text" },
  kernels: { at: "engine", a: "text" },
  "tfjs.backend": { at: "engine", a: "text" },
  retries: { at: "policy", a: "number" },
  timeout: { at: "policy", a: "number" },
  checkpointEvery: { at: "policy", a: "number" },
  checkpointSeconds: { at: "policy", a: "number" }
} as const

const isSettable = (name: string): name is keyof typeof settable => Object.hasOwn(settable, name)

/** The flags as options of the runtime. */
export const runtimeOptions = Effect.fnUntraced(function*(flags: {
  readonly engine: EngineName
  readonly home: Option.Option<string> | undefined
  readonly set: Readonly<Record<string, string>>
}) {
  const options: Record<"engine" | "policy", Record<string, number | string>> = { engine: {}, policy: {} }
  for (const [name, text] of Object.entries(flags.set)) {
    const refuse = (problem: string) => new BadSetting({ setting: `${name}=${text}`, problem })
    if (!isSettable(name)) {
      const names = Object.keys(settable).join(", ")
      return yield* refuse(`only ${names} can be set here; what decides a result belongs in the pipeline file`)
    }
    if (name === "device" && flags.engine !== "torch") return yield* refuse(`engine ${flags.engine} has no devices`)
    if (name === "kernels") {
      if (flags.engine !== "torch") return yield* refuse(`engine ${flags.engine} has none of its own`)
      if (text !== "none") return yield* refuse("kernels are used wherever there are any; the only choice is none")
    }
    if (name === "tfjs.backend") {
      if (flags.engine !== "tfjs") return yield* refuse(`the engine is ${flags.engine}`)
      const backend = backendNames.find((known) => known === text)
      if (backend === undefined) return yield* refuse(`there is ${backendNames.join(", ")}`)
      options.engine["backend"] = backend
      continue
    }
    const value = Number(text)
    if (settable[name].a === "number" && (!Number.isFinite(value) || value < 0 || text.trim() === "")) {
      return yield* refuse("not a number")
    }
    options[settable[name].at][name] = settable[name].a === "number" ? value : text
  }
  return {
    engine: flags.engine,
    ...(flags.home !== undefined && Option.isSome(flags.home) ? { home: flags.home.value } : {}),
    ...options.engine,
    ...(Object.keys(options.policy).length === 0 ? {} : { policy: options.policy })
  } satisfies RuntimeOptions as RuntimeOptions
})
