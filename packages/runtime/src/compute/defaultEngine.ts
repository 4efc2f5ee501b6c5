// The engine when none is named: torch on a GPU that an installed PyTorch can use, else onnx, which npm alone brings.
import type { EngineName } from "./backends.ts"

export const defaultEngine = async (): Promise<EngineName> => {
  const { cudaDevices } = await import("./torch/cuda.ts")
  if ("problem" in cudaDevices()) return "onnx"
  const { discover } = await import("./torch/discovery.ts")
  const found = discover()
  return "problem" in found || !found.cuda ? "onnx" : "torch"
}
