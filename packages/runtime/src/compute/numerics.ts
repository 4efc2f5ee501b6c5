// What each engine computes in, known without starting it: a run that takes everything from the store loads no engine.
// An engine whose own answer differs from its row here refuses to start; a test holds them equal.
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { EngineName } from "./backends.ts"
import type { Numerics } from "./Engine.ts"
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
  get torch(): Numerics {
    const version = versionOfTorch()
    return { engine: "torch", version, compute: "float32", loss: "host", determinism: "seeded", groups: [] }
  }
}
