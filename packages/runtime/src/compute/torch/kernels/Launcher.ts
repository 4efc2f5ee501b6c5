// The kernels of one device: compiled or taken from the cache, loaded, launched, unloaded. A kernel that cannot be had is
// left out, with the reason; whoever wants it composes the same of libtorch's operators.
import type { Handle, Native } from "../native.ts"
import { cached } from "./cache.ts"
import type { Driver, Module } from "./driver.ts"
import { type Element, entryOf, type Kernel, unitOf } from "./Kernel.ts"
import { type KernelName, kernels as all } from "./kernels.ts"
import type { Nvrtc } from "./nvrtc.ts"

export interface Launcher {
  readonly has: (name: KernelName) => boolean
  /**
   * Queues a kernel on the current stream: arguments in the order of its parameters, a tensor for a pointer, undefined for null.
   * Tensors may be freed at once: their memory is taken again only by what comes later on the stream.
   */
  readonly launch: (
    name: KernelName,
    variant: ReadonlyArray<Element>,
    grid: { readonly blocks: number; readonly threads: number },
    args: ReadonlyArray<Handle | number | undefined>
  ) => void
  /** Kernels that cannot be had, and why. */
  readonly missing: ReadonlyMap<KernelName, string>
  readonly close: () => void
}

const names = Object.keys(all) as ReadonlyArray<KernelName>

type Write = (slots: DataView, at: number, value: Handle | number | undefined) => void

const writers: Readonly<Record<string, Write>> = {
  float: (slots, at, value) => slots.setFloat32(at, value as number, true),
  "unsigned int": (slots, at, value) => slots.setUint32(at, value as number, true),
  "long long": (slots, at, value) => slots.setBigInt64(at, BigInt(value as number), true)
}

/** Compiled code of a kernel for a target, from `folder` where it is there. */
export const compiled = (kernel: Kernel, nvrtc: Nvrtc, target: string, folder: string): Uint8Array => {
  const source = unitOf(kernel)
  return cached(
    folder,
    `${kernel.name}-${target}`,
    [source, target, nvrtc.version.join(".")],
    () => nvrtc.compile(kernel.name, source, target)
  )
}

/** Loads what `codeOf` gives for each kernel; what it or the driver throws becomes the reason why one is missing. */
export const launcherOf = (
  native: Pick<Native, "pointer" | "stream">,
  driver: Driver,
  codeOf: (kernel: Kernel) => Uint8Array
): Launcher => {
  const modules: Array<Module> = []
  const entries = new Map<string, bigint>()
  const missing = new Map<KernelName, string>()
  for (const name of names) {
    const kernel = all[name]
    try {
      const module = driver.load(codeOf(kernel))
      modules.push(module)
      for (const variant of kernel.variants) {
        const entry = entryOf(kernel, variant)
        entries.set(entry, module.entry(entry))
      }
    } catch (error) {
      missing.set(name, error instanceof Error ? error.message : String(error))
    }
  }
  const writes = new Map(names.map((name) => [
    name,
    Object.values(all[name].parameters).map((type): Write =>
      writers[type] ??
        ((slots, at, value) => slots.setBigUint64(at, value === undefined ? 0n : native.pointer(value as Handle), true))
    )
  ]))
  return {
    has: (name) => !missing.has(name),
    launch: (name, variant, { blocks, threads }, args) => {
      const entry = entries.get(entryOf(all[name], variant))
      if (entry === undefined) throw new Error(`kernel ${name} is not made for ${variant.join(" and ")}`)
      const parameters = writes.get(name)!
      if (args.length !== parameters.length) throw new Error(`kernel ${name} takes ${parameters.length} arguments`)
      if (blocks === 0) return
      parameters.forEach((write, i) => write(driver.slots, 8 * i, args[i]))
      driver.launch(entry, blocks, threads, native.stream())
    },
    missing,
    close: () => {
      driver.wait()
      for (const module of modules) module.unload()
      driver.close()
    }
  }
}
