// What `penchant doctor` says of an installed PyTorch beyond whether it starts.
import * as fs from "node:fs"
import * as path from "node:path"
import { bytes } from "../../platform/bytes.ts"
import { cudaDevices } from "./cuda.ts"
import { discover } from "./discovery.ts"

/** NVRTC of the CUDA packages that a wheel depends on, or of the wheel itself. */
const nvrtcIn = (lib: string): string | undefined => {
  const site = path.join(lib, "../..")
  const nvidia = path.join(site, "nvidia")
  const packages = fs.existsSync(nvidia) ? fs.readdirSync(nvidia).map((name) => path.join(nvidia, name, "lib")) : []
  for (const dir of [lib, ...packages]) {
    const found = fs.existsSync(dir)
      ? fs.readdirSync(dir).find((name) => /^(lib)?nvrtc.*\.(so|dll)/.test(name))
      : undefined
    if (found !== undefined) return path.join(dir, found)
  }
  return undefined
}

export const describe = (): ReadonlyArray<string> => {
  const found = discover()
  if ("problem" in found) return []
  const { cuda, lib, schemas } = found
  const lines = [
    `${lib}; built ${cuda ? "with" : "without"} CUDA; operators read from ${schemas ?? "penchant's own tables"}`
  ]
  const devices = cudaDevices()
  if ("problem" in devices) return [...lines, `no CUDA device: ${devices.problem}`]
  devices.forEach(({ capability, name, totalBytes }, i) => {
    const recent = capability[0] >= 8
    lines.push(
      `cuda:${i} ${name}, ${bytes(totalBytes)}, compute capability ${
        capability.join(".")
      }: flash attention and bfloat16 ${recent ? "yes" : "no, they need 8.0"}`
    )
  })
  if (!cuda) lines.push("this PyTorch cannot use them: install a build with CUDA")
  if (cuda) lines.push(`NVRTC ${nvrtcIn(lib) ?? "not found"}`)
  return lines
}
