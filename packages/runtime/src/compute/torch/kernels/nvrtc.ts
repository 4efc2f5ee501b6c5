// NVIDIA's run-time compiler (nvrtc.h): CUDA C++ in memory to machine code of one architecture. It needs no GPU, no CUDA
// toolkit and no headers; PyTorch's CUDA wheels bring it.
import * as fs from "node:fs"
import * as path from "node:path"
import type { Missing } from "../discovery.ts"
import { openLibrary } from "./library.ts"

/** Thrown when a source does not compile, with the compiler's log. */
export class CompileError extends Error {}

export interface Nvrtc {
  readonly file: string
  /** [13, 0] */
  readonly version: readonly [number, number]
  /**
   * What to compile for on a device of this compute capability: its machine code where this NVRTC knows the device, else PTX of
   * the newest older architecture, which the driver translates.
   */
  readonly target: (capability: readonly [number, number]) => string
  /** Machine code for "sm_90", PTX for "compute_90". */
  readonly compile: (name: string, source: string, target: string) => Uint8Array
}

const inFolder = (folder: string, pattern: RegExp): ReadonlyArray<string> => {
  try {
    return fs.readdirSync(folder).filter((name) => pattern.test(name)).toSorted().map((name) => path.join(folder, name))
  } catch {
    return []
  }
}

/** Folders beside a torch's `lib` that may hold NVRTC, then CUDA's own: one of another major version may not fit the driver. */
export const nvrtcFolders = (lib: string): ReadonlyArray<string> => {
  const nvidia = path.join(lib, "../../nvidia")
  const packages = fs.existsSync(nvidia) ? fs.readdirSync(nvidia).toSorted() : []
  const home = process.env["CUDA_HOME"]
  return [
    ...packages.flatMap((name) => [path.join(nvidia, name, "lib"), path.join(nvidia, name, "bin")]),
    lib,
    // the environment's own, of conda
    path.join(lib, "../../../.."),
    ...(home === undefined || home === "" ? [] : [path.join(home, "lib64"), path.join(home, "bin")]),
    "/usr/local/cuda/lib64"
  ]
}

// wheels also bring an .alt build, for drivers older than theirs
const library = /^(lib)?nvrtc(?!-builtins)[^.]*(\.so(\.\d+)*|\.dll)$/
const builtins = /^(lib)?nvrtc-builtins[^.]*(\.so(\.\d+)*|\.dll)$/

/** 13 of "2.13.0+cu130" */
const cudaOf = (version: string): string | undefined => /\+cu(\d+)\d$/.exec(version)?.[1]

/** The first NVRTC in these folders, those of the CUDA that this version of torch is built for before others. */
export const findNvrtc = (folders: ReadonlyArray<string>, version: string): string | Missing => {
  const found = folders.flatMap((folder) => inFolder(folder, library))
  const major = cudaOf(version)
  const fits = (file: string) => new RegExp(`\\.so\\.${major}(\\.|$)|nvrtc64_${major}\\d`).test(path.basename(file))
  return (major === undefined ? undefined : found.find(fits)) ?? found[0] ?? {
    problem: `no NVRTC in ${folders.join(", ")}`,
    remedy: "install nvidia-cuda-nvrtc of this PyTorch's CUDA version with pip, or set CUDA_HOME to a CUDA toolkit"
  }
}

const ok = 0
const failedToCompile = 6

/** Loads an NVRTC. */
export const openNvrtc = (file: string): Nvrtc => {
  // NVRTC opens its builtins by name: once loaded they are found, wherever they lie
  for (const each of inFolder(path.dirname(file), builtins)) openLibrary(each)
  const library = openLibrary(file)
  const c = {
    version: library.func("int nvrtcVersion(int*, int*)"),
    archCount: library.func("int nvrtcGetNumSupportedArchs(int*)"),
    archs: library.func("int nvrtcGetSupportedArchs(int*)"),
    create: library.func(
      "int nvrtcCreateProgram(uint64_t*, const char*, const char*, int, const char**, const char**)"
    ),
    compile: library.func("int nvrtcCompileProgram(uint64_t, int, const char**)"),
    logSize: library.func("int nvrtcGetProgramLogSize(uint64_t, size_t*)"),
    log: library.func("int nvrtcGetProgramLog(uint64_t, char*)"),
    cubinSize: library.func("int nvrtcGetCUBINSize(uint64_t, size_t*)"),
    cubin: library.func("int nvrtcGetCUBIN(uint64_t, uint8_t*)"),
    ptxSize: library.func("int nvrtcGetPTXSize(uint64_t, size_t*)"),
    ptx: library.func("int nvrtcGetPTX(uint64_t, uint8_t*)"),
    destroy: library.func("int nvrtcDestroyProgram(uint64_t*)"),
    text: library.func("const char* nvrtcGetErrorString(int)")
  }
  const check = (code: number, where: string): void => {
    if (code !== ok) throw new CompileError(`${where}: ${c.text(code)}`)
  }
  const [major, minor, count] = [new Int32Array(1), new Int32Array(1), new Int32Array(1)]
  check(c.version(major, minor), "nvrtcVersion")
  check(c.archCount(count), "nvrtcGetNumSupportedArchs")
  const known = new Int32Array(count[0]!)
  check(c.archs(known), "nvrtcGetSupportedArchs")
  const sized = (program: bigint, size: typeof c.cubinSize, read: typeof c.cubin, where: string): Buffer => {
    const bytes = new BigUint64Array(1)
    check(size(program, bytes), where)
    const into = Buffer.alloc(Number(bytes[0]))
    check(read(program, into), where)
    return into
  }
  return {
    file,
    version: [major[0]!, minor[0]!],
    target: ([major, minor]) => {
      const wanted = 10 * major + minor
      if (known.includes(wanted)) return `sm_${wanted}`
      const older = known.findLast((each) => each < wanted)
      if (older === undefined) {
        throw new CompileError(`NVRTC ${file} knows no architecture as old as compute capability ${major}.${minor}`)
      }
      return `compute_${older}`
    },
    compile: (name, source, target) => {
      const program = new BigUint64Array(1)
      check(c.create(program, source, `${name}.cu`, 0, null, null), "nvrtcCreateProgram")
      try {
        const options = [`--gpu-architecture=${target}`, "--std=c++17"]
        const code = c.compile(program[0]!, options.length, options) as number
        if (code !== ok) {
          const log = sized(program[0]!, c.logSize, c.log, "nvrtcGetProgramLog").toString("utf8").replaceAll("\0", "")
          throw new CompileError(`${name} for ${target}: ${code === failedToCompile ? log.trim() : c.text(code)}`)
        }
        return target.startsWith("sm_")
          ? sized(program[0]!, c.cubinSize, c.cubin, "nvrtcGetCUBIN")
          : sized(program[0]!, c.ptxSize, c.ptx, "nvrtcGetPTX")
      } finally {
        c.destroy(program)
      }
    }
  }
}
