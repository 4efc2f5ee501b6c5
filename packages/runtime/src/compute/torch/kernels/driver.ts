// The part of CUDA's driver API (cuda.h) that loads compiled kernels and launches them, in the context that libtorch uses: the
// primary one of the device. Not yet run on a GPU; tests put a library of their own in the driver's place.
import koffi from "koffi"
import { TorchError } from "../native.ts"
import { openLibrary } from "./library.ts"

export interface Module {
  /** A kernel's entry point. */
  readonly entry: (name: string) => bigint
  readonly unload: () => void
}

export interface Driver {
  readonly load: (code: Uint8Array) => Module
  /**
   * Queues a kernel on a stream and returns. `slots` are its arguments, in 8 bytes each, copied before this returns.
   */
  readonly launch: (entry: bigint, blocks: number, threads: number, stream: bigint) => void
  /** Where the arguments of the next launch are written, [mostArguments]: each at the start of its slot. */
  readonly slots: DataView
  /** Waits for what was launched: modules may be unloaded then. */
  readonly wait: () => void
  readonly close: () => void
}

export const mostArguments = 32
const slot = 8

/** Opens the driver and makes the device's context current in this thread. */
export const openDriver = (file: string, device: number): Driver => {
  const library = openLibrary(file)
  const c = {
    init: library.func("int cuInit(unsigned int)"),
    device: library.func("int cuDeviceGet(int*, int)"),
    retain: library.func("int cuDevicePrimaryCtxRetain(uint64_t*, int)"),
    release: library.func("int cuDevicePrimaryCtxRelease_v2(int)"),
    current: library.func("int cuCtxSetCurrent(uint64_t)"),
    wait: library.func("int cuCtxSynchronize()"),
    load: library.func("int cuModuleLoadData(uint64_t*, const uint8_t*)"),
    unload: library.func("int cuModuleUnload(uint64_t)"),
    entry: library.func("int cuModuleGetFunction(uint64_t*, uint64_t, const char*)"),
    launch: library.func(
      "int cuLaunchKernel(uint64_t, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, uint64_t, uint64_t, uint64_t)"
    ),
    text: library.func("int cuGetErrorString(int, _Out_ const char**)")
  }
  const out = new BigUint64Array(1)
  const check = (code: number, where: string): void => {
    if (code === 0) return
    const text: [string | null] = [null]
    c.text(code, text)
    // in libtorch's words, by which a lost device and a full one are told
    throw new TorchError(`${where}: CUDA error: ${text[0] ?? code}`)
  }
  check(c.init(0), "cuInit")
  const ordinal = new Int32Array(1)
  check(c.device(ordinal, device), "cuDeviceGet")
  check(c.retain(out, ordinal[0]!), "cuDevicePrimaryCtxRetain")
  check(c.current(out[0]!), "cuCtxSetCurrent")
  // the arguments, then the address of each, which is what a launch takes
  const block = koffi.alloc("uint64_t", 2 * mostArguments)
  const address = koffi.address(block)
  const memory = koffi.view(block, 2 * mostArguments * slot)
  const addresses = new BigUint64Array(memory, mostArguments * slot)
  addresses.forEach((_, i) => (addresses[i] = address + BigInt(i * slot)))
  const listed = address + BigInt(mostArguments * slot)
  return {
    load: (code) => {
      // PTX must end with 0
      const ended = new Uint8Array(code.length + 1)
      ended.set(code)
      check(c.load(out, ended), "cuModuleLoadData")
      const module = out[0]!
      return {
        entry: (name) => {
          check(c.entry(out, module, name), name)
          return out[0]!
        },
        unload: () => check(c.unload(module), "cuModuleUnload")
      }
    },
    slots: new DataView(memory, 0, mostArguments * slot),
    launch: (entry, blocks, threads, stream) =>
      check(c.launch(entry, blocks, 1, 1, threads, 1, 1, 0, stream, listed, 0n), "cuLaunchKernel"),
    wait: () => check(c.wait(), "cuCtxSynchronize"),
    close: () => {
      koffi.free(block)
      check(c.release(ordinal[0]!), "cuDevicePrimaryCtxRelease")
    }
  }
}
