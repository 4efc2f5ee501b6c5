// The torch engine: an installed PyTorch's libtorch driven through its C ABI, without Python, a compiler or autograd.
// Forward and backward are the project's own graphs. CUDA has not yet been run on a GPU.
import { availableParallelism } from "node:os"
import { homeDirectory } from "../../platform/home.ts"
import type { Backend, BackendModule, BackendSession, EngineOptions } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import type { DeviceState } from "../Engine.ts"
import { joinTokens, type Part, partsOf, tokensOf } from "../lanes/parts.ts"
import { generateTogether, settled, together } from "../lanes/together.ts"
import { numerics } from "../numerics.ts"
import { trainedOf } from "../places.ts"
import { cudaDevices, cudaMemory, driver } from "./cuda.ts"
import { discover, type Installation } from "./discovery.ts"
import { kernelCache, type Loaded, loadKernels } from "./kernels/load.ts"
import { nvrtcFolders } from "./kernels/nvrtc.ts"
import { type Lane, laneCount, type LaneHost, laneHost, laneOf } from "./lanes.ts"
import type { Device, Native } from "./native.ts"
import { parametersOf } from "./Parameters.ts"
import { guarded, type Network, replicaOf } from "./replica.ts"
import { nativeIn, schemasOf } from "./start.ts"
import { type Torch, torchOf } from "./Torch.ts"

/** The device asked for; when none is, the first GPU that this torch can use, else the CPU. */
const deviceOf = (name: string | undefined, { cuda, version }: Installation): Device => {
  if (name === "cpu" || (name === undefined && !cuda)) return { kind: "cpu" }
  const asked = /^cuda(?::(\d+))?$/.exec(name ?? "cuda")
  if (asked === null) throw new Error(`no device "${name}": use cpu, cuda or cuda:1`)
  if (!cuda) throw new Error(`torch ${version} is built without CUDA: install a CUDA build, or ask for the device cpu`)
  const devices = cudaDevices()
  if ("problem" in devices) {
    if (name === undefined) return { kind: "cpu" }
    throw new Error(`device ${name}: ${devices.problem}; ${devices.remedy}`)
  }
  const index = Number(asked[1] ?? 0)
  if (index >= devices.length) throw new Error(`device ${name}: there are ${devices.length} (cuda:0 is the first)`)
  return { kind: "cuda", index }
}

/**
 * What a GPU says of itself between two runs. libtorch keeps freed blocks in reserve and does not say how much through the C
 * ABI, so what is free is exact when a session opens and a lower bound later. Not yet run on a GPU.
 */
const stateOf = (torch: Torch, index: number): () => Promise<DeviceState> => {
  const devices = cudaDevices()
  const name = "problem" in devices ? "CUDA" : devices[index]!.name
  const before = cudaMemory().freeBytes
  let peakBytes = 0
  return async () => {
    const { freeBytes, totalBytes } = cudaMemory()
    peakBytes = Math.max(peakBytes, before - freeBytes)
    return { name, kind: "cuda", totalBytes, freeBytes, peakBytes, liveTensors: torch.native.live() }
  }
}

/** The threads that share the work of a batch. */
interface Side {
  /** Of all lanes together. */
  readonly threads: number
  /** The thread of a lane other than the first. */
  readonly host: (lane: number) => LaneHost
}

/** Sessions of one libtorch; in the thread of the caller alone without `side`. */
export const opened = (torch: Torch, side?: Side): Backend["open"] => async (model, options) => {
  const threads = side?.threads ?? 1
  const { parameters: _, ...described } = model
  const { precision = "float32" } = options
  const count = side === undefined || torch.device.kind === "cuda" || precision === "bfloat16"
    ? 1
    : laneCount(threads, trainedOf(model).parameters.length)
  const parameters = guarded(() => parametersOf(torch, model, count, options))
  const { native } = torch
  const networks = parameters.gradients.map((gradients): Network => ({
    model: described,
    precision,
    weights: parameters.weights,
    gradients
  }))
  const lanes = networks.map((network, l) =>
    l === 0 ? laneOf(replicaOf(torch, network), native.setThreads) : side!.host(l).open(network)
  )
  /** Of the batch that went forward last. */
  let parts: ReadonlyArray<Part> = []
  const through = async (batch: Batch, run: (lane: Lane, part: Part, threads: number) => Promise<Float64Array>) => {
    parts = partsOf(batch, lanes.length)
    const each = Math.max(1, Math.floor(threads / parts.length))
    return joinTokens(parts, await together(lanes, parts, (lane, part) => run(lane, part, each)))
  }
  const forget = async () => {
    parts = []
    await settled(lanes.map((lane) => lane.forget()))
  }
  const session: BackendSession = {
    score: async (batch) => {
      const values = await through(batch, (lane, part, each) => lane.score(part.batch, each))
      parts = []
      return values
    },
    generate: async (prompts, generating) => {
      await forget()
      const used = lanes.slice(0, prompts.length)
      const each = Math.max(1, Math.floor(threads / used.length))
      const bound = used.map(({ generate }) => ({
        generate: (share: typeof prompts, options: typeof generating) => generate(share, options, each)
      }))
      return generateTogether(bound, prompts, generating)
    },
    forward: async (batch, { recompute = false } = {}) => {
      await forget()
      native.saveMemory(recompute)
      return through(batch, (lane, part, each) => lane.forward(part.batch, each, recompute))
    },
    backward: async (coefficients) => {
      if (parts.length === 0) throw new Error("backward without a forward before it")
      const pulled = parts
      parts = []
      await together(lanes, pulled, (lane, part) => lane.backward(tokensOf(part, coefficients)))
    },
    update: async (update) => {
      native.setThreads(threads)
      return guarded(() => parameters.update(update))
    },
    weights: async () => ({ ...model, parameters: parameters.read("weights") }),
    optimiser: async () => parameters.optimiser(),
    gradients: async () => parameters.read("gradients"),
    zeroGradients: async () => {
      await forget()
      parameters.zeroGradients()
    },
    ...(torch.device.kind === "cuda" ? { device: stateOf(torch, torch.device.index) } : {}),
    close: async () => {
      await settled(lanes.map((lane) => lane.close()))
      parameters.close()
    }
  }
  return session
}

/** Handles alive in the libtorch of this process: zero once every session is closed. */
export let liveTensors: () => number = () => 0

/** Kernels of our own for a CUDA device, unless they are not wanted; a CPU has none. */
const kernelsFor = (
  native: Native,
  device: Device,
  { lib, version }: Installation,
  { home, kernels }: Pick<EngineOptions, "home" | "kernels">
): Loaded => {
  const devices = device.kind === "cuda" ? cudaDevices() : []
  if (kernels === "none" || device.kind === "cpu" || "problem" in devices) {
    return { launcher: undefined, notice: undefined }
  }
  const { capability } = devices[device.index]!
  const sources = { folders: nvrtcFolders(lib), version, capability, cache: kernelCache(homeDirectory(home)) }
  return loadKernels(native, sources, driver()!, device.index)
}

export const start: BackendModule["start"] = async (
  { device: name, threads = availableParallelism(), ...options }
) => {
  const installation = discover()
  if ("problem" in installation) throw new Error(`${installation.problem}: ${installation.remedy}`)
  const device = deviceOf(name, installation)
  const live = new Int32Array(new SharedArrayBuffer(4))
  const native = nativeIn(installation, device, live)
  liveTensors = native.live
  const { launcher, notice } = kernelsFor(native, device, installation, options)
  const torch = torchOf(native, device, schemasOf(installation), launcher)
  const hosts: Array<LaneHost> = []
  return {
    numerics: numerics.torch,
    ...(notice === undefined ? {} : { notices: [notice] }),
    open: opened(torch, { threads, host: (lane) => hosts[lane - 1] ??= laneHost({ installation, live }) }),
    close: async () => {
      await settled(hosts.map(({ close }) => close()))
      launcher?.close()
    }
  }
}
