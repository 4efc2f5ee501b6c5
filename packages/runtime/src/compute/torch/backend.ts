// The torch engine: an installed PyTorch's libtorch driven through its C ABI, without Python, a compiler or autograd.
// Forward and backward are the project's own graphs. CUDA has not yet been run on a GPU.
import * as fs from "node:fs"
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import { forwardOf } from "../../model/families.ts"
import { homeDirectory } from "../../platform/home.ts"
import { type Backend, type BackendModule, type BackendSession, DeviceLost, NoRoom } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import type { DeviceState } from "../Engine.ts"
import { planned } from "../footprint.ts"
import type { Gradient } from "../gradient.ts"
import type { Value } from "../Graph.ts"
import { numerics } from "../numerics.ts"
import { bundledFor, bundledSchemas } from "./bundledSchemas.ts"
import { cudaDevices, cudaMemory, driver } from "./cuda.ts"
import { decoderOf } from "./decoder.ts"
import { discover, type Installation } from "./discovery.ts"
import { kernelCache, type Loaded, loadKernels } from "./kernels/load.ts"
import { nvrtcFolders } from "./kernels/nvrtc.ts"
import { type Device, isLost, isOutOfMemory, load, type Native } from "./native.ts"
import { parametersOf } from "./Parameters.ts"
import { narrowed } from "./precision.ts"
import { type Run, startRun, tablesOf } from "./Run.ts"
import { schemasIn } from "./schemas.ts"
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

/** Runs a call into libtorch; what says that there was no room becomes `NoRoom`, that the device is gone, `DeviceLost`. */
const guarded = <A>(body: () => A): A => {
  try {
    return body()
  } catch (error) {
    if (isOutOfMemory(error)) throw new NoRoom(error.message)
    if (isLost(error)) throw new DeviceLost(error.message)
    throw error
  }
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

/** Sessions of one libtorch. */
export const opened = (torch: Torch): Backend["open"] => async (model, options) => {
  const network = forwardOf(model)
  const { graph, logProb, trained = [], weights } = network
  const graphs = planned(network)
  const narrow = options.precision === "bfloat16" ? narrowed(torch) : torch
  const parameters = guarded(() => parametersOf(torch, model, weights, options))
  const tables = tablesOf(torch)
  const into = new Map<Value, bigint>()
  trained.forEach((weight, i) => into.set(graphs.plain.graph.outputs[i]!, parameters.gradients.get(weight)!))
  let saved: { readonly run: Run; readonly backwards: Gradient } | undefined
  const forget = () => {
    saved?.run.close()
    saved = undefined
  }
  const forward = (batch: Batch, keep: ReadonlyArray<Value>) => {
    forget()
    return guarded(() => {
      const run = startRun(torch, narrow, graph, batch, parameters.weights, tables)
      try {
        run.through(graph, [logProb, ...keep])
        const values = torch.download(run.get(logProb).handles[0]!, batch.targets.length)
        return { run, values: Float64Array.from(values) }
      } catch (error) {
        run.close()
        throw error
      }
    })
  }
  const session: BackendSession = {
    score: async (batch) => {
      const { run, values } = forward(batch, [])
      run.close()
      return values
    },
    generate: async (prompts, generating) => {
      forget()
      const decoder = decoderOf(torch, narrow, network, parameters.weights, tables)
      try {
        return await generate(decoder, prompts, generating, await decodeOf(generating))
      } catch (error) {
        return guarded(() => {
          throw error
        })
      } finally {
        decoder.close()
      }
    },
    forward: async (batch, { recompute = false } = {}) => {
      const backwards = recompute ? graphs.sparing : graphs.plain
      const { run, values } = forward(batch, backwards.saved)
      saved = { run, backwards }
      return values
    },
    backward: async (coefficients) => {
      if (saved === undefined) throw new Error("backward without a forward before it")
      const { backwards, run } = saved
      try {
        guarded(() => {
          for (const input of backwards.graph.inputs) {
            if (input.source.kind === "cotangent") run.setCotangent(input, coefficients)
          }
          run.through(backwards.graph, [], into)
        })
      } finally {
        forget()
      }
    },
    update: async (update) => guarded(() => parameters.update(update)),
    weights: async () => ({ ...model, parameters: parameters.read("weights") }),
    optimiser: async () => parameters.optimiser(),
    gradients: async () => parameters.read("gradients"),
    zeroGradients: async () => {
      forget()
      parameters.zeroGradients()
    },
    ...(torch.device.kind === "cuda" ? { device: stateOf(torch, torch.device.index) } : {}),
    close: async () => {
      forget()
      tables.close()
      parameters.close()
    }
  }
  return session
}

/** Handles alive in this thread's libtorch: zero once every session is closed. */
export let liveTensors: () => number = () => 0

const schemasOf = ({ schemas, version }: Installation) => {
  if (schemas !== undefined) return schemasIn(fs.readFileSync(schemas, "utf8"))
  if (bundledFor.some((known) => version.startsWith(`${known}.`))) return schemasIn(bundledSchemas)
  throw new Error(
    `torch ${version} came without torchgen's native_functions.yaml, which lists its operators, and penchant has a list of its own only for ${
      bundledFor.join(" and ")
    }; install it with pip`
  )
}

/** Kernels of our own for a CUDA device; a CPU has none and needs none. */
const kernelsFor = (native: Native, device: Device, { lib }: Installation, home: string | undefined): Loaded => {
  const devices = device.kind === "cuda" ? cudaDevices() : []
  if (device.kind === "cpu" || "problem" in devices) return { launcher: undefined, notice: undefined }
  const { capability } = devices[device.index]!
  const sources = { folders: nvrtcFolders(lib), capability, cache: kernelCache(homeDirectory(home)) }
  return loadKernels(native, sources, driver()!, device.index)
}

export const start: BackendModule["start"] = async ({ device: name, home, threads }) => {
  const installation = discover()
  if ("problem" in installation) throw new Error(`${installation.problem}: ${installation.remedy}`)
  const device = deviceOf(name, installation)
  const native = load(installation, device)
  native.noGrad()
  if (threads !== undefined) native.setThreads(threads)
  liveTensors = native.live
  const { launcher, notice } = kernelsFor(native, device, installation, home)
  const torch = torchOf(native, device, schemasOf(installation), launcher)
  return {
    numerics: numerics.torch,
    ...(notice === undefined ? {} : { notices: [notice] }),
    open: opened(torch),
    close: async () => launcher?.close()
  }
}
