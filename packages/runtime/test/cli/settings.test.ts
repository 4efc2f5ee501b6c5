// `--set name=value` as options of the runtime, without a process.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { runtimeOptions } from "../../src/cli/settings.ts"

describe("--set kernels", () => {
  const of = (engine: "onnx" | "torch", kernels: string) =>
    runtimeOptions({ engine, home: undefined, set: { kernels } })

  it.effect("takes none, for torch alone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* of("torch", "none"), { engine: "torch", kernels: "none" })
      const refused = [yield* Effect.flip(of("torch", "all")), yield* Effect.flip(of("onnx", "none"))]
      assert.deepStrictEqual(refused.map(({ message }) => message), [
        "--set kernels=all: kernels are used wherever there are any; the only choice is none",
        "--set kernels=none: engine onnx has none of its own"
      ])
    }))
})
