// The kernels of one device from its NVRTC, the cache and the driver; and, where that fails, what to tell people. Nothing here
// fails a run: whatever is missing is composed of libtorch's operators. Not yet run on a GPU.
import * as path from "node:path"
import type { Missing } from "../discovery.ts"
import type { Native } from "../native.ts"
import { openDriver } from "./driver.ts"
import { kernels as all } from "./kernels.ts"
import { compiled, type Launcher, launcherOf } from "./Launcher.ts"
import { findNvrtc, openNvrtc } from "./nvrtc.ts"

export interface Sources {
  /** Where NVRTC may be. */
  readonly folders: ReadonlyArray<string>
  /** Of the torch that it should fit: "2.13.0+cu130". */
  readonly version: string
  readonly capability: readonly [number, number]
  /** Where compiled kernels are kept. */
  readonly cache: string
}

/** In the state directory. */
export const kernelCache = (home: string): string => path.join(home, "cache", "kernels")

const count = Object.keys(all).length
const textOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
const said = ({ problem, remedy }: Missing): string => `${problem}; ${remedy}`

/** Reasons, each once with the kernels that it is for. */
const reasonsOf = (missing: ReadonlyMap<string, string>): string =>
  [...Map.groupBy(missing, ([, reason]) => reason)].map(([reason, kernels]) =>
    kernels.length === count ? reason : `${kernels.map(([name]) => name).join(", ")}: ${reason}`
  ).join("\n")

/** Opens what `load` compiles with. */
const compilerOf = ({ cache, capability, folders, version }: Sources) => {
  const file = findNvrtc(folders, version)
  if (typeof file !== "string") return file
  const nvrtc = openNvrtc(file)
  const target = nvrtc.target(capability)
  const codeOf = (kernel: typeof all[keyof typeof all]) => compiled(kernel, nvrtc, target, cache)
  return { nvrtc, target, codeOf }
}

/** What `penchant doctor` says: which NVRTC, how many kernels compile for the device, and why the others do not. */
export const describeKernels = (sources: Sources): string => {
  try {
    const compiler = compilerOf(sources)
    if ("problem" in compiler) return `kernels: none, ${said(compiler)}`
    const { codeOf, nvrtc, target } = compiler
    const missing = new Map<string, string>()
    for (const [name, kernel] of Object.entries(all)) {
      try {
        codeOf(kernel)
      } catch (error) {
        missing.set(name, textOf(error))
      }
    }
    const first = `kernels: ${count - missing.size} of ${count} compiled for ${target} by NVRTC ${
      nvrtc.version.join(".")
    }, ${nvrtc.file}`
    return missing.size === 0 ? first : `${first}\n${reasonsOf(missing)}`
  } catch (error) {
    return `kernels: none, ${textOf(error)}`
  }
}

export interface Loaded {
  readonly launcher: Launcher | undefined
  /** What is missing and why, for people; undefined when nothing is. */
  readonly notice: string | undefined
}

const composed = "PyTorch's own operators compute instead, more slowly"

/** Loads every kernel that can be had. `driver` is its library, `device` its number there. */
export const loadKernels = (
  native: Pick<Native, "pointer" | "stream">,
  sources: Sources,
  driver: string,
  device: number
): Loaded => {
  try {
    const compiler = compilerOf(sources)
    if ("problem" in compiler) return { launcher: undefined, notice: `no kernels: ${said(compiler)}; ${composed}` }
    const launcher = launcherOf(native, openDriver(driver, device), compiler.codeOf)
    const { missing } = launcher
    if (missing.size === 0) return { launcher, notice: undefined }
    const notice = `${missing.size} of ${count} kernels are missing, ${composed}: ${reasonsOf(missing)}`
    return { launcher, notice }
  } catch (error) {
    return { launcher: undefined, notice: `no kernels: ${textOf(error)}; ${composed}` }
  }
}
