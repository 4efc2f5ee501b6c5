// What `penchant doctor` says of an installed PyTorch beyond whether it starts.
import { bytes } from "../../platform/bytes.ts"
import { homeDirectory } from "../../platform/home.ts"
import { cudaDevices } from "./cuda.ts"
import { discover } from "./discovery.ts"
import { describeKernels, kernelCache } from "./kernels/load.ts"
import { nvrtcFolders } from "./kernels/nvrtc.ts"

export const describe = (): ReadonlyArray<string> => {
  const found = discover()
  if ("problem" in found) return []
  const { cuda, lib, schemas, version } = found
  const lines = [
    `${lib}; built ${cuda ? "with" : "without"} CUDA; operators read from ${schemas ?? "penchant's own tables"}`
  ]
  const devices = cudaDevices()
  if ("problem" in devices) return [...lines, `no CUDA device, so no kernels: ${devices.problem}`]
  devices.forEach(({ capability, name, totalBytes }, i) => {
    const recent = capability[0] >= 8
    lines.push(
      `cuda:${i} ${name}, ${bytes(totalBytes)}, compute capability ${
        capability.join(".")
      }: flash attention and bfloat16 ${recent ? "yes" : "no, they need 8.0"}`
    )
  })
  if (!cuda) lines.push("this PyTorch cannot use them: install a build with CUDA")
  else {
    const [folders, cache] = [nvrtcFolders(lib), kernelCache(homeDirectory())]
    lines.push(...describeKernels({ folders, version, capability: devices[0]!.capability, cache }).split("\n"))
  }
  return lines
}
