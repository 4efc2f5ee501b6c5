// libtorch through its stable C ABI (torch/csrc/stable/c/shim.h, torch/csrc/inductor/aoti_torch/c/shim.h). A wrong signature
// here is a segmentation fault, so nothing else declares one of libtorch (NVIDIA's are in cuda.ts and kernels/).
// A handle is an owning pointer to a tensor: it is counted when made, and must be deleted exactly once.
import koffi from "koffi"
import * as path from "node:path"
import { type Installation, libraryName } from "./discovery.ts"
import { reasons } from "./errorText.ts"

/** An owning tensor handle. */
export type Handle = bigint

export type Device = { readonly kind: "cpu" } | { readonly kind: "cuda"; readonly index: number }

/** Element types, as libtorch numbers them. */
export interface DTypes {
  readonly bfloat16: number
  readonly float32: number
  readonly float64: number
  readonly int16: number
  readonly int32: number
  readonly int64: number
}

/** Memory of ours that libtorch reads and writes. */
export type Host = Float32Array | Int16Array | Int32Array

export interface Native {
  readonly dtypes: DTypes
  /** [major, minor] of the loaded library. */
  readonly version: readonly [number, number]
  /** Handles made and not yet deleted. */
  readonly live: () => number
  readonly empty: (shape: ReadonlyArray<number>, dtype: number, device: Device) => Handle
  readonly typeOf: (data: Host) => number
  readonly dtypeOf: (tensor: Handle) => number
  /** A tensor over memory of ours; valid while that memory is. */
  readonly over: (data: Host, shape: ReadonlyArray<number>) => Handle
  /** A second owning handle on the same tensor. */
  readonly duplicate: (tensor: Handle) => Handle
  readonly remove: (tensor: Handle) => void
  /** Calls an operator by name: `stack` holds the encoded arguments and receives the results. Consumes the handles in it. */
  readonly dispatch: (name: string, overload: string, stack: BigUint64Array) => void
  /** Results in a stack are handles that nobody has counted yet. */
  readonly adopt: (tensor: Handle) => Handle
  /** A duplicate given to `dispatch` or a list, which deletes it. */
  readonly lend: (tensor: Handle) => bigint
  readonly list: (encoded: ReadonlyArray<bigint>) => bigint
  /** A present optional: libtorch frees it. */
  readonly some: (encoded: bigint) => bigint
  readonly text: (value: string) => bigint
  /** Copies elements, converting types and crossing devices. */
  readonly copy: (to: Handle, from: Handle) => void
  /** to = beta * self + a b. `to` may be `self`. Numbers do not pass by name through the dispatcher, hence the symbols. */
  readonly addmm: (to: Handle, self: Handle, a: Handle, b: Handle, beta: number) => void
  /** to = beta * self + alpha * a b, batch by batch. With beta 0 `self` is not read; it may be `to`. */
  readonly baddbmm: (to: Handle, self: Handle, a: Handle, b: Handle, beta: number, alpha: number) => void
  /** A view: sizes, strides and the offset from the tensor's first element, in elements. */
  readonly view: (
    tensor: Handle,
    size: ReadonlyArray<number>,
    strides: ReadonlyArray<number>,
    offset: number
  ) => Handle
  /** a + alpha * b */
  readonly add: (a: Handle, b: Handle, alpha: number) => Handle
  readonly fill: (tensor: Handle, value: number) => void
  /** Where the first element lies, on its device; valid while a handle on the tensor lives. */
  readonly pointer: (tensor: Handle) => bigint
  readonly isContiguous: (tensor: Handle) => boolean
  /** The CUDA stream that libtorch queues on now; 0, which is the default stream, on a CPU. */
  readonly stream: () => bigint
  /** Thread-local: no gradients are recorded afterwards. */
  readonly noGrad: () => void
  readonly setThreads: (threads: number) => void
  /** Of the whole process: whether freed memory goes back to the system at once, at the price of getting it anew each time. */
  readonly saveMemory: (on: boolean) => void
}

/** Thrown when libtorch refuses a call, with its text. */
export class TorchError extends Error {}

const outOfMemory = /out of memory|can't allocate memory|DefaultCPUAllocator/i
/** Whether an error says that there was no room. */
export const isOutOfMemory = (error: unknown): error is TorchError =>
  error instanceof TorchError && outOfMemory.test(error.message)

/**
 * CUDA errors after which every call fails alike (sticky, in CUDA's terms). A kernel that the build lacks for the device's
 * architecture is none: the device is well, the build does not fit it.
 */
const lost =
  /CUDA error: (an illegal memory access|device-side assert|unspecified launch|an illegal instruction|misaligned address|uncorrectable ECC|the launch timed out|.*unknown error)|GPU is lost|has fallen off the bus/i
/** Whether an error says that the device cannot be used any more. */
export const isLost = (error: unknown): error is TorchError => error instanceof TorchError && lost.test(error.message)

const contiguous = (shape: ReadonlyArray<number>): BigInt64Array => {
  const strides = new BigInt64Array(shape.length)
  let n = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = BigInt(n)
    n *= shape[i]!
  }
  return strides
}

/**
 * glibc keeps what is freed, and holes between tensors of changing sizes come to more than the tensors themselves when blocks
 * are recomputed. Above a threshold it maps each piece by itself and gives it back. Undefined in other C libraries.
 */
const allocator = () => {
  try {
    const mallopt = koffi.load(null).func("int mallopt(int, int)")
    const [mapThreshold, trimThreshold] = [-3, -1] as const
    // as high as glibc's own adaptation goes
    const kept = 2 ** 25
    return (on: boolean): void => {
      mallopt(mapThreshold, on ? 2 ** 17 : kept)
      mallopt(trimThreshold, on ? 2 ** 18 : 2 * kept)
    }
  } catch {
    return undefined
  }
}

/**
 * How long a thread of OpenMP (GNU's and Intel's) spins before it sleeps: 1,000 turns, about 20 us, in place of some
 * milliseconds. Where other work has the core that another thread of the team waits for, spinning takes the rest of the machine.
 */
const waiting = { GOMP_SPINCOUNT: "1000", KMP_BLOCKTIME: "0" } as const

/** OpenMP reads the process's environment when it is loaded, which a worker's `process.env` is no part of. */
const setWaiting = (): void => {
  if (process.platform === "win32" || process.env["OMP_WAIT_POLICY"] !== undefined) return
  const setenv = koffi.load(null).func("int setenv(const char*, const char*, int)")
  for (const [name, value] of Object.entries(waiting)) setenv(name, value, 0)
}

/**
 * Loads the libraries of an installation, which takes half a second in the first thread and no time in others. `live` counts
 * handles, of all threads that share it.
 */
export const load = (installation: Installation, device: Device, live: Int32Array = new Int32Array(1)): Native => {
  const open = (name: string) => koffi.load(path.join(installation.lib, libraryName(name)))
  setWaiting()
  // in the order of their dependencies
  open("c10")
  const cpu = open("torch_cpu")
  if (device.kind === "cuda") open("c10_cuda")
  const shim = device.kind === "cuda" ? open("torch_cuda") : cpu
  const optional = (signature: string) => {
    try {
      return cpu.func(signature)
    } catch {
      return undefined
    }
  }
  const kind = device.kind
  const c = {
    abi: cpu.func("uint64_t aoti_torch_abi_version()"),
    emptyStrided: cpu.func(
      "int32_t aoti_torch_empty_strided(int64_t, int64_t*, int64_t*, int32_t, int32_t, int32_t, uint64_t*)"
    ),
    fromBlob: cpu.func(
      "int32_t aoti_torch_create_tensor_from_blob(void*, int64_t, int64_t*, int64_t*, int64_t, int32_t, int32_t, int32_t, uint64_t*)"
    ),
    dtypeOf: cpu.func("int32_t aoti_torch_get_dtype(uint64_t, int32_t*)"),
    pointer: cpu.func("int32_t aoti_torch_get_data_ptr(uint64_t, uint64_t*)"),
    isContiguous: cpu.func("int32_t aoti_torch_is_contiguous(uint64_t, uint8_t*)"),
    stream: device.kind === "cuda"
      ? shim.func("int32_t aoti_torch_get_current_cuda_stream(int32_t, uint64_t*)")
      : undefined,
    remove: cpu.func("int32_t aoti_torch_delete_tensor_object(uint64_t)"),
    duplicate: cpu.func("int32_t aoti_torch_new_tensor_handle(uint64_t, uint64_t*)"),
    dispatch: cpu.func("int32_t torch_call_dispatcher(const char*, const char*, uint64_t*, uint64_t)"),
    newList: cpu.func("int32_t torch_new_list_reserve_size(size_t, uint64_t*)"),
    push: cpu.func("int32_t torch_list_push_back(uint64_t, uint64_t)"),
    newString: cpu.func("int32_t torch_new_string_handle(const char*, size_t, uint64_t*)"),
    copy: cpu.func("int32_t aoti_torch_copy_(uint64_t, uint64_t, int32_t)"),
    fill: cpu.func("int32_t aoti_torch_aten_fill__Scalar(uint64_t, double)"),
    gradMode: cpu.func("void aoti_torch_grad_mode_set_enabled(bool)"),
    addmm: shim.func(`int32_t aoti_torch_${kind}_addmm_out(uint64_t, uint64_t, uint64_t, uint64_t, double, double)`),
    baddbmm: shim.func(
      `int32_t aoti_torch_${kind}_baddbmm_out(uint64_t, uint64_t, uint64_t, uint64_t, double, double)`
    ),
    view: cpu.func("int32_t aoti_torch__reinterpret_tensor(uint64_t, int64_t, int64_t*, int64_t*, int64_t, uint64_t*)"),
    add: shim.func(`int32_t aoti_torch_${kind}_add_Tensor(uint64_t, uint64_t, double, uint64_t*)`)
  }
  const what = optional("const char* torch_exception_get_what_without_backtrace()")
  const reason = what === undefined ? reasons() : () => String(what()).split("\n")[0]!
  const newBox = optional("int32_t torch_new_stable_ivalue(uint64_t*)")
  // before 2.13 libtorch frees an optional with C++ delete, so it must come from C++ new
  const operatorNew = newBox === undefined ? koffi.load("libstdc++.so.6").func("uint64_t _Znwm(size_t)") : undefined
  // at::set_num_threads(int): no C symbol, but this one has not changed since 1.0
  const threads = optional("void _ZN2at15set_num_threadsEi(int32_t)")

  const tune = allocator()
  let saving = false
  const abi = BigInt(c.abi())
  const out = new BigUint64Array(1)
  const typeOut = new Int32Array(1)
  const flagOut = new Uint8Array(1)
  const [sizesOfView, stridesOfView] = [new BigInt64Array(8), new BigInt64Array(8)]
  const check = (code: number, where: string): void => {
    if (code === 0) return
    const text = reason()
    const hint = /no kernel image is available/.test(text) ? "; install a PyTorch built for this GPU" : ""
    throw new TorchError(`${where}: ${text}${hint}`)
  }
  const made = (): Handle => {
    Atomics.add(live, 0, 1)
    return out[0]!
  }
  const dtype = (name: string): number => cpu.func(`int32_t aoti_torch_dtype_${name}()`)()
  const dtypes: DTypes = {
    bfloat16: dtype("bfloat16"),
    float32: dtype("float32"),
    float64: dtype("float64"),
    int16: dtype("int16"),
    int32: dtype("int32"),
    int64: dtype("int64")
  }
  const typeOf = (data: Host): number =>
    data instanceof Float32Array ? dtypes.float32 : data instanceof Int16Array ? dtypes.int16 : dtypes.int32
  const types = {
    cpu: cpu.func("int32_t aoti_torch_device_type_cpu()")(),
    cuda: cpu.func("int32_t aoti_torch_device_type_cuda()")()
  }
  return {
    dtypes,
    version: [Number(abi >> 56n), Number((abi >> 48n) & 0xffn)],
    live: () => Atomics.load(live, 0),
    empty: (shape, type, at) => {
      const index = at.kind === "cuda" ? at.index : 0
      const sizes = BigInt64Array.from(shape, BigInt)
      check(c.emptyStrided(shape.length, sizes, contiguous(shape), type, types[at.kind], index, out), "empty")
      return made()
    },
    typeOf,
    dtypeOf: (tensor) => {
      check(c.dtypeOf(tensor, typeOut), "get_dtype")
      return typeOut[0]!
    },
    over: (data, shape) => {
      const type = typeOf(data)
      const sizes = BigInt64Array.from(shape, BigInt)
      check(c.fromBlob(data, shape.length, sizes, contiguous(shape), 0, type, types.cpu, 0, out), "from_blob")
      return made()
    },
    duplicate: (tensor) => {
      check(c.duplicate(tensor, out), "new_tensor_handle")
      return made()
    },
    remove: (tensor) => {
      check(c.remove(tensor), "delete_tensor")
      Atomics.sub(live, 0, 1)
    },
    dispatch: (name, overload, stack) => check(c.dispatch(`aten::${name}`, overload, stack, abi), name),
    adopt: (tensor) => {
      Atomics.add(live, 0, 1)
      return tensor
    },
    lend: (tensor) => {
      check(c.duplicate(tensor, out), "new_tensor_handle")
      return out[0]!
    },
    list: (encoded) => {
      check(c.newList(encoded.length, out), "new_list")
      const list = out[0]!
      for (const value of encoded) check(c.push(list, value), "push_back")
      return list
    },
    some: (encoded) => {
      if (newBox !== undefined) check(newBox(out), "new_stable_ivalue")
      const box = newBox !== undefined ? out[0]! : BigInt(operatorNew!(8))
      koffi.encode(box, "uint64_t", encoded)
      return box
    },
    text: (value) => {
      check(c.newString(value, Buffer.byteLength(value), out), "new_string")
      return out[0]!
    },
    copy: (to, from) => check(c.copy(to, from, 0), "copy_"),
    addmm: (to, self, a, b, beta) => check(c.addmm(to, self, a, b, beta, 1), "addmm"),
    baddbmm: (to, self, a, b, beta, alpha) => check(c.baddbmm(to, self, a, b, beta, alpha), "baddbmm"),
    view: (tensor, size, strides, offset) => {
      // as many as libtorch's shape needs at most here; these calls are too many for arrays of their own
      for (let i = 0; i < size.length; i++) {
        sizesOfView[i] = BigInt(size[i]!)
        stridesOfView[i] = BigInt(strides[i]!)
      }
      check(c.view(tensor, size.length, sizesOfView, stridesOfView, offset, out), "view")
      return made()
    },
    add: (a, b, alpha) => {
      check(c.add(a, b, alpha, out), "add")
      return made()
    },
    fill: (tensor, value) => check(c.fill(tensor, value), "fill_"),
    pointer: (tensor) => {
      check(c.pointer(tensor, out), "get_data_ptr")
      return out[0]!
    },
    isContiguous: (tensor) => {
      check(c.isContiguous(tensor, flagOut), "is_contiguous")
      return flagOut[0] === 1
    },
    stream: () => {
      if (device.kind === "cpu") return 0n
      check(c.stream!(device.index, out), "get_current_cuda_stream")
      return out[0]!
    },
    noGrad: () => c.gradMode(false),
    setThreads: (count) => threads?.(count),
    saveMemory: (on) => {
      if (on !== saving) tune?.(on)
      saving = on
    }
  }
}
