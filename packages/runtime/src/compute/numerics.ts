// What each engine computes in, known without starting it: a run that takes everything from the store loads no engine.
// An engine whose own answer differs from its row here refuses to start; a test holds them equal.
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { EngineOptions } from "./Backend.ts"
import type { EngineName } from "./backends.ts"
import type { Numerics } from "./Engine.ts"
import { choose } from "./tfjs/choice.ts"
import { discover } from "./torch/discovery.ts"

const packageVersion = (name: string): string => {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
    return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version
  } catch {
    return "not installed"
  }
}

let torchVersion: string | undefined
/** Looked for once, and only when the engine is asked for: it may start an interpreter. */
const versionOfTorch = (): string => {
  if (torchVersion === undefined) {
    const found = discover()
    torchVersion = "problem" in found ? "not installed" : found.version
  }
  return torchVersion
}

/** wasm computes the same bits everywhere; TensorFlow's own kernels sum in the order in which its threads come. */
const ofTfjs = (backend: string | undefined): Numerics => {
  const choice = choose(backend)
  const [version, determinism] = "problem" in choice
    ? ["not installed", "seeded"] as const
    : [choice.version, choice.backend === "wasm" ? "bitwise" : "seeded"] as const
  return { engine: "tfjs", version, compute: "float32", loss: "host", determinism, groups: [] }
}

export const numerics: Readonly<Record<EngineName, Numerics>> = {
  onnx: {
    engine: "onnx",
    version: packageVersion("onnxruntime-node"),
    compute: "float32",
    loss: "fused",
    determinism: "bitwise",
    groups: [1, 2, 4, 8]
  },
  reference: {
    engine: "reference",
    version: "1",
    compute: "float64",
    loss: "host",
    determinism: "bitwise",
    groups: []
  },
  get tfjs(): Numerics {
    return ofTfjs(undefined)
  },
  get torch(): Numerics {
    const version = versionOfTorch()
    return { engine: "torch", version, compute: "float32", loss: "host", determinism: "seeded", groups: [] }
  }
}

/** The same, where options decide a part of it. */
export const numericsOf = (engine: EngineName, { backend }: Pick<EngineOptions, "backend"> = {}): Numerics =>
  engine === "tfjs" ? ofTfjs(backend) : numerics[engine]
