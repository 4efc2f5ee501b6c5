// What an operation that is one kernel is given and gives back, and when its tensors fit one.
import type { OperationName } from "../../Graph.ts"
import type { Context, Lowering, Tensor } from "../Lowering.ts"
import type { Handle } from "../native.ts"
import type { Torch } from "../Torch.ts"
import { type Element, mostThreads } from "./Kernel.ts"
import type { KernelName } from "./kernels.ts"
import type { Launcher } from "./Launcher.ts"

/** As a lowering, but inputs come as they are stored, and undefined says that no kernel fits: then the composition runs. */
export type Fused<N extends OperationName> = (
  ...given: Parameters<Lowering<N>>
) => ReturnType<Lowering<N>> | undefined

export interface Fitting {
  readonly launcher: Launcher
  readonly element: Element
}

const elementOf = ({ dtypeOf, dtypes }: Torch["native"], tensor: Handle): Element | undefined => {
  const dtype = dtypeOf(tensor)
  return dtype === dtypes.float32 ? "float32" : dtype === dtypes.bfloat16 ? "bfloat16" : undefined
}

/** A kernel, if it is there, for tensors that are contiguous and all of one element type. */
export const fitting = (torch: Torch, name: KernelName, tensors: ReadonlyArray<Handle>): Fitting | undefined => {
  const { launcher, native } = torch
  if (launcher === undefined || !launcher.has(name)) return undefined
  const element = elementOf(native, tensors[0]!)
  if (element === undefined) return undefined
  return tensors.every((tensor, i) => native.isContiguous(tensor) && (i === 0 || elementOf(native, tensor) === element))
    ? { launcher, element }
    : undefined
}

/** The same for what becomes an activation, which has the element type of the session. */
export const fittingActivations = (
  torch: Torch,
  name: KernelName,
  tensors: ReadonlyArray<Tensor>
): Fitting | undefined => {
  const found = fitting(torch, name, tensors.map(({ handles }) => handles[0]!))
  return found !== undefined && torch.native.dtypes[found.element] === torch.floats ? found : undefined
}

/** Threads of a block that walks a vector of this width, four elements each. */
export const threadsFor = (width: number): number => Math.min(mostThreads, 32 * Math.ceil(Math.max(1, width) / 128))

/** Blocks of `threads` that take `each` elements a thread. */
export const gridOver = (size: number, each: number, threads = 256) => ({
  blocks: Math.ceil(size / (each * threads)),
  threads
})

/** The memory of an input that nobody reads any more, else new memory of its shape. */
export const overSpare = ({ spare, torch }: Context, input: Tensor): Handle =>
  spare(input) ? torch.alias(input.handles[0]!) : torch.empty(input.shape)
