// Every engine, loaded only when it is asked for. A new engine is one folder and one line here.
import type { BackendModule } from "./Backend.ts"

export type EngineName = "onnx" | "reference" | "tfjs" | "torch"

/** Engines that compute in bfloat16 when a recipe asks; every other refuses. */
export const inBfloat16: ReadonlySet<string> = new Set<EngineName>(["torch"])

export const backends: { readonly [E in EngineName]: () => Promise<BackendModule> } = {
  onnx: () => import("./onnx/backend.ts"),
  reference: () => import("./reference/backend.ts"),
  tfjs: () => import("./tfjs/backend.ts"),
  torch: () => import("./torch/backend.ts")
}
