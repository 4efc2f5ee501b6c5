// The CUDA devices of this machine as its driver tells them, without a context, libtorch or a worker. Not yet run on a GPU.
import type koffi from "koffi"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import type { Missing } from "./discovery.ts"

export interface CudaDevice {
  readonly name: string
  readonly totalBytes: number
  /** Compute capability: [9, 0] is Hopper. Flash attention and bfloat16 products need 8.0. */
  readonly capability: readonly [number, number]
}

const drivers: Partial<Record<NodeJS.Platform, string>> = { linux: "libcuda.so.1", win32: "nvcuda.dll" }
/** The driver's library on this platform, if there may be one. */
export const driver = (): string | undefined => drivers[process.platform]

/** Every command asks for devices to choose an engine; where no driver is, the foreign-function library stays unloaded. */
const open = (driver: string) => (createRequire(import.meta.url)("koffi") as typeof koffi).load(driver)

/** What the kernel shows where a driver is loaded; the last is WSL's. Asked first, since loading a library is not free. */
const nodes = ["/dev/nvidiactl", "/dev/dxg"]

const remedy = "install NVIDIA's driver, or train on the CPU with --engine onnx"

/** CUresult (cuda.h) where it says something to a user. */
const reasons: Readonly<Record<number, string>> = {
  100: "the CUDA driver sees no device; is CUDA_VISIBLE_DEVICES empty?",
  803: "the CUDA driver does not fit the loaded kernel module; restart after the driver's update"
}

// cuda.h
const capabilityMajor = 75
const capabilityMinor = 76

const ask = (driver: string): ReadonlyArray<CudaDevice> | Missing => {
  const library = open(driver)
  const count = new Int32Array(1)
  const started = library.func("int cuInit(unsigned int)")(0) as number
  const counted = started === 0 ? library.func("int cuDeviceGetCount(int*)")(count) as number : started
  if (counted !== 0) return { problem: reasons[counted] ?? `the CUDA driver answers with error ${counted}`, remedy }
  if (count[0] === 0) return { problem: reasons[100]!, remedy }
  const nameOf = library.func("int cuDeviceGetName(char*, int, int)")
  const bytesOf = library.func("int cuDeviceTotalMem_v2(size_t*, int)")
  const attributeOf = library.func("int cuDeviceGetAttribute(int*, int, int)")
  return Array.from({ length: count[0]! }, (_, device) => {
    const [name, bytes, value] = [Buffer.alloc(256), new BigUint64Array(1), new Int32Array(1)]
    nameOf(name, name.length, device)
    bytesOf(bytes, device)
    const attribute = (which: number): number => {
      attributeOf(value, which, device)
      return value[0]!
    }
    return {
      name: name.toString("utf8", 0, name.indexOf(0)),
      totalBytes: Number(bytes[0]),
      capability: [attribute(capabilityMajor), attribute(capabilityMinor)] as const
    }
  })
}

/** Bytes of the device that is current in this thread, which libtorch makes current; so after the first tensor. */
export const cudaMemory = (): { readonly freeBytes: number; readonly totalBytes: number } => {
  const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)]
  const code = open(drivers[process.platform]!).func("int cuMemGetInfo_v2(size_t*, size_t*)")(
    free,
    total
  ) as number
  if (code !== 0) throw new Error(`the CUDA driver does not say how much memory is free: error ${code}`)
  return { freeBytes: Number(free[0]), totalBytes: Number(total[0]) }
}

/** At least one device, or why there is none. */
export const cudaDevices = (): ReadonlyArray<CudaDevice> | Missing => {
  const driver = drivers[process.platform]
  if (driver === undefined) return { problem: `no CUDA on ${process.platform}`, remedy: "train on the CPU" }
  if (process.platform === "linux" && !nodes.some((node) => fs.existsSync(node))) {
    return { problem: "no NVIDIA driver is loaded", remedy }
  }
  try {
    return ask(driver)
  } catch (error) {
    return { problem: `${driver} cannot be used: ${(error as Error).message.split("\n")[0]}`, remedy }
  }
}
