// Where an installed PyTorch keeps its libraries, found without importing it: LIBTORCH, then the active environment, then
// the torch of `python3`, then the usual places of the C++ archive. Nothing is loaded here.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export interface Installation {
  /** The folder of libtorch_cpu. */
  readonly lib: string
  /** As torch gives it: "2.13.0+cpu". */
  readonly version: string
  /** Whether it was built for CUDA. */
  readonly cuda: boolean
  /** The argument lists of its operators, native_functions.yaml; absent in installations without torchgen. */
  readonly schemas: string | undefined
}

/** What was looked at and why it will not do. */
export interface Missing {
  readonly problem: string
  readonly remedy: string
}

const oldest = [2, 10] as const
const install = "install PyTorch 2.10 or newer (pip install torch), or set LIBTORCH to the folder of an installed one"

const fileNames: Partial<Record<NodeJS.Platform, string>> = {
  darwin: "libtorch_cpu.dylib",
  win32: "torch_cpu.dll"
}
/** "libtorch_cpu.so" and its like on other systems. */
export const libraryName = (name: string): string =>
  (fileNames[process.platform] ?? "libtorch_cpu.so").replace("torch_cpu", name)

/** A torch folder, its `lib`, or site-packages -> the folder of libtorch_cpu. */
const libOf = (given: string): string | undefined =>
  [given, path.join(given, "lib"), path.join(given, "torch", "lib")].find((dir) =>
    fs.existsSync(path.join(dir, libraryName("torch_cpu")))
  )

const readText = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const sitePackages = (environment: string): ReadonlyArray<string> => {
  const lib = path.join(environment, "lib")
  const versions = fs.existsSync(lib) ? fs.readdirSync(lib).filter((name) => name.startsWith("python3")) : []
  return [...versions.map((name) => path.join(lib, name, "site-packages")), path.join(environment, "Lib/site-packages")]
}

/** Asks the interpreter where torch would come from; it does not import torch. */
const ofPython = (): ReadonlyArray<string> => {
  const script =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  const { status, stdout } = spawnSync("python3", ["-c", script], { encoding: "utf8", timeout: 10_000 })
  return status === 0 && stdout.trim() !== "" ? [stdout.trim()] : []
}

const environments = () =>
  [process.env["VIRTUAL_ENV"], process.env["CONDA_PREFIX"]].flatMap((dir) =>
    dir === undefined || dir === "" ? [] : sitePackages(dir)
  )

/** Where people unpack the C++ archive. */
const usual = () => ["/usr/local/libtorch", "/opt/libtorch", path.join(os.homedir(), "libtorch")]

/** torch/version.py of a wheel, build-version of the C++ archive. */
const versionOf = (lib: string): string | undefined =>
  /^__version__ = '(.+)'$/m.exec(readText(path.join(lib, "../version.py")) ?? "")?.[1]
    ?? readText(path.join(lib, "../build-version"))?.trim()

const examine = (lib: string): Installation | Missing => {
  const version = versionOf(lib)
  if (version === undefined) return { problem: `${lib} has no version beside it`, remedy: install }
  const [major = 0, minor = 0] = version.split(".").map(Number)
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    return { problem: `torch ${version} in ${lib} is older than ${oldest.join(".")}`, remedy: install }
  }
  const schemas = path.join(lib, "../../torchgen/packaged/ATen/native/native_functions.yaml")
  return {
    lib,
    version,
    cuda: fs.existsSync(path.join(lib, libraryName("torch_cuda"))),
    schemas: fs.existsSync(schemas) ? schemas : undefined
  }
}

/** The first torch in the order above. LIBTORCH, when set, is the only place looked at. */
export const discover = (): Installation | Missing => {
  const given = process.env["LIBTORCH"]
  if (given !== undefined && given !== "") {
    const lib = libOf(given)
    if (lib !== undefined) return examine(lib)
    return { problem: `LIBTORCH is ${given}, where there is no ${libraryName("torch_cpu")}`, remedy: install }
  }
  for (const places of [environments, ofPython, usual]) {
    const lib = places().flatMap((dir) => libOf(dir) ?? [])[0]
    if (lib !== undefined) return examine(lib)
  }
  return { problem: "no PyTorch was found", remedy: install }
}
