// Flags that several commands share, and `--set path=value`: policy and engine options by name, never identity in silence.
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { EngineName } from "../compute/Engines.ts"
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

const engines: ReadonlyArray<EngineName> = ["onnx", "torch", "reference"]

export const file = Argument.String("file").pipe(
  Argument.withDescription("A pipeline file, such as pipelines/quickstart.ts")
)
export const engine = Flag.Literals("engine", engines).pipe(
  Flag.withDefault("onnx" as const),
  Flag.withDescription(
    "What computes: onnx (CPU, float32), torch (an installed PyTorch on the CPU, float32) or reference (plain TypeScript, float64, slow)"
  )
)
export const home = Flag.String("home").pipe(
  Flag.optional,
  Flag.withDescription("State directory; default PENCHANT_HOME, else .penchant")
)
export const set = Flag.KeyValuePair("set").pipe(
  Flag.withDefault({} as Record<string, string>),
  Flag.withDescription("threads, retries, timeout, checkpointEvery or checkpointSeconds, as name=value")
)

/** name -> where it goes; all are positive numbers. */
const settable = {
  threads: "engine",
  retries: "policy",
  timeout: "policy",
  checkpointEvery: "policy",
  checkpointSeconds: "policy"
} as const

const isSettable = (name: string): name is keyof typeof settable => Object.hasOwn(settable, name)

/** The flags as options of the runtime. */
export const runtimeOptions = Effect.fnUntraced(function*(flags: {
  readonly engine: EngineName
  readonly home: Option.Option<string> | undefined
  readonly set: Readonly<Record<string, string>>
}) {
  const policy: Record<string, number> = {}
  let threads: number | undefined
  for (const [name, text] of Object.entries(flags.set)) {
    const setting = `${name}=${text}`
    if (!isSettable(name)) {
      return yield* new BadSetting({
        setting,
        problem: `only ${
          Object.keys(settable).join(", ")
        } can be set here; what decides a result belongs in the pipeline file`
      })
    }
    const value = Number(text)
    if (!Number.isFinite(value) || value < 0 || text.trim() === "") {
      return yield* new BadSetting({ setting, problem: "not a number" })
    }
    if (settable[name] === "engine") threads = value
    else policy[name] = value
  }
  return {
    engine: flags.engine,
    ...(flags.home !== undefined && Option.isSome(flags.home) ? { home: flags.home.value } : {}),
    ...(threads === undefined ? {} : { threads }),
    ...(Object.keys(policy).length === 0 ? {} : { policy })
  } satisfies RuntimeOptions as RuntimeOptions
})
