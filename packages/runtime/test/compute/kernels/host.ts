// The kernels on the CPU: their source compiled by c++ with hostCuda.hpp in the place of CUDA, and launched by the engine's own
// code through a driver that this library plays. What it cannot show is NVRTC's code on a GPU.
import koffi from "koffi"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Installation } from "../../../src/compute/torch/discovery.ts"
import { openDriver } from "../../../src/compute/torch/kernels/driver.ts"
import { entryOf, unitOf } from "../../../src/compute/torch/kernels/Kernel.ts"
import { kernels } from "../../../src/compute/torch/kernels/kernels.ts"
import { launcherOf } from "../../../src/compute/torch/kernels/Launcher.ts"
import { nativeIn, schemasOf } from "../../../src/compute/torch/start.ts"
import { type Torch, torchOf } from "../../../src/compute/torch/Torch.ts"

/** Why c++ cannot be used here; undefined when it can. */
export const noCompiler = spawnSync("c++", ["--version"]).status === 0 ? undefined : "no c++"

/** One library of all kernels, in a folder that the caller removes. */
export const compileHost = (): { readonly library: string; readonly folder: string } => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-kernels-"))
  const entries = Object.values(kernels).flatMap((kernel) =>
    kernel.variants.map((variant) => ({ space: `of_${kernel.name}`, entry: entryOf(kernel, variant) }))
  )
  const source = [
    `#include "${path.join(import.meta.dirname, "hostCuda.hpp")}"`,
    ...Object.values(kernels).map((kernel) => `namespace of_${kernel.name} {\n${unitOf(kernel)}}`),
    "namespace host { const Entry entries[] = {",
    ...entries.map(({ entry, space }) => `{"${entry}", [](void** given) { apply(${space}::${entry}, given); }},`),
    "{nullptr, nullptr}}; }"
  ].join("\n")
  const [file, library] = [path.join(folder, "kernels.cpp"), path.join(folder, "kernels.so")]
  fs.writeFileSync(file, source)
  const { status, stderr } = spawnSync("c++", ["-std=c++17", "-O1", "-shared", "-fPIC", "-o", library, file], {
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  return { library, folder }
}

export const host = new TextEncoder().encode("host")

const cpu = { kind: "cpu" } as const

/** CPU libtorch on one thread. */
export const composedTorch = (installation: Installation): Torch => {
  const native = nativeIn(installation, cpu)
  native.setThreads(1)
  return torchOf(native, cpu, schemasOf(installation))
}

/** The same twice over: as it is, and with these kernels. */
export const torches = (installation: Installation, library: string) => {
  const composed = composedTorch(installation)
  const { native } = composed
  const launcher = launcherOf(native, openDriver(library, 0), () => host)
  const played = koffi.load(library)
  return {
    native,
    launcher,
    composed,
    kernels: torchOf(native, cpu, schemasOf(installation), launcher),
    launches: () => Number(played.func("uint64_t host_launches()")()),
    /** Modules and contexts that are held. */
    loaded: () => played.func("int host_loaded()")() as number
  }
}
