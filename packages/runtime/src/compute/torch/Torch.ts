// Tensors and operators of one libtorch on one device. Ownership is by scope: what a body makes is freed when it ends,
// except what it returns, also when it throws. No finalisers: the collector does not see native memory.
import type { Launcher } from "./kernels/Launcher.ts"
import type { Device, Handle, Native } from "./native.ts"
import type { Parameter, Schema, Type } from "./schemas.ts"

/** What an operator can be given. A bigint is a tensor. */
export type Argument = Handle | number | boolean | string | undefined | ReadonlyArray<Argument>

export interface Torch {
  readonly native: Native
  readonly device: Device
  /** Kernels of our own, where the device has them. */
  readonly launcher: Launcher | undefined
  /** Calls an operator, "mm" or "sum.dim_IntList"; arguments left out take the schema's defaults. All results. */
  readonly all: (
    name: string,
    args: ReadonlyArray<Argument>,
    named?: Readonly<Record<string, Argument>>
  ) => ReadonlyArray<Handle>
  /** The same, its first result. */
  readonly call: (name: string, ...args: ReadonlyArray<Argument>) => Handle
  /** Frees what the body makes, except what it hands to `keep`, which is the caller's to free. */
  readonly scope: <A>(body: (keep: (tensor: Handle) => Handle) => A) => A
  readonly free: (tensors: Iterable<Handle>) => void
  /** Element type of new tensors that say none. */
  readonly floats: number
  /** On the device; contents undefined. */
  readonly empty: (shape: ReadonlyArray<number>, dtype?: number) => Handle
  readonly zeros: (shape: ReadonlyArray<number>, dtype?: number) => Handle
  /** Another handle on the same tensor where it has that type already. */
  readonly cast: (tensor: Handle, dtype: number) => Handle
  /** Another handle on the same tensor. */
  readonly alias: (tensor: Handle) => Handle
  readonly add: (a: Handle, b: Handle, alpha?: number) => Handle
  /** As float32, or as what the ints are. */
  readonly upload: (data: Floats | Int16Array | Int32Array, shape: ReadonlyArray<number>) => Handle
  /** int64, which every index wants. */
  readonly uploadIndex: (data: Int32Array) => Handle
  readonly download: (tensor: Handle, size: number) => Float32Array
  /** The bits of a tensor of 16-bit elements. */
  readonly downloadBits: (tensor: Handle, size: number) => Int16Array
  /** The same within a scope: what is kept belongs to the scope around. */
  readonly within: Torch["scope"]
  /** A view; strides, and the offset from the tensor's first element, in elements. */
  readonly strided: (
    tensor: Handle,
    size: ReadonlyArray<number>,
    strides: ReadonlyArray<number>,
    offset: number
  ) => Handle
}

type Floats = Float32Array | Float64Array
type Encode = (value: Argument) => bigint

const bits = new DataView(new ArrayBuffer(8))
const doubleBits = (value: number): bigint => {
  bits.setFloat64(0, value)
  return bits.getBigUint64(0)
}
const integer = (value: Argument): bigint => BigInt.asUintN(64, BigInt(value as number))

const literals: Readonly<Record<string, Argument>> = { None: undefined, True: true, False: false, "[]": [] }
const fallbackOf = (text: string): Argument => {
  if (Object.hasOwn(literals, text)) return literals[text]
  const quoted = /^'(.*)'$/.exec(text)
  if (quoted !== null) return quoted[1]
  return Number(text)
}

export const torchOf = (
  native: Native,
  device: Device,
  schemaOf: (name: string) => Schema | undefined,
  launcher?: Launcher
): Torch => {
  const scopes: Array<Set<Handle>> = []
  const own = (tensor: Handle): Handle => {
    scopes.at(-1)?.add(tensor)
    return tensor
  }
  const scalar: Readonly<Record<string, Encode>> = {
    Tensor: (value) => native.lend(value as Handle),
    int: integer,
    SymInt: integer,
    ScalarType: integer,
    Layout: integer,
    MemoryFormat: integer,
    float: (value) => doubleBits(value as number),
    bool: (value) => value === true ? 1n : 0n,
    str: (value) => native.text(value as string)
  }
  const encoder = (where: string, type: Type): Encode => {
    const { items, optional } = type
    const present: Encode | undefined = items === undefined ? scalar[type.base] : listEncoder(where, items)
    if (present === undefined) {
      // may still be left at None
      return (value) => {
        if (value === undefined && optional) return 0n
        throw new Error(`${where}: a ${type.base} cannot be passed to libtorch by name`)
      }
    }
    return (value) => {
      if (value !== undefined) return optional ? native.some(present(value)) : present(value)
      if (!optional) throw new Error(`${where} is missing`)
      return 0n
    }
  }
  const listEncoder = (where: string, items: Type): Encode => {
    const each = encoder(where, items)
    return (value) => native.list((Array.isArray(value) ? value as ReadonlyArray<Argument> : [value]).map(each))
  }
  const bind = (name: string) => {
    const schema = schemaOf(name)
    if (schema === undefined) throw new Error(`torch ${native.version.join(".")} has no operator ${name}`)
    const { operator, overload, parameters, results } = schema
    if (results.some(({ base, items }) => base !== "Tensor" && base !== "int" && items === undefined)) {
      throw new Error(`${name} returns what cannot be taken from libtorch`)
    }
    const encode = parameters.map((each: Parameter) => encoder(`${name}: ${each.name}`, each.type))
    const fallbacks = parameters.map(({ fallback }) => fallback === undefined ? undefined : fallbackOf(fallback))
    const stack = new BigUint64Array(Math.max(parameters.length, results.length, 1))
    return (args: ReadonlyArray<Argument>, named: Readonly<Record<string, Argument>> | undefined) => {
      for (let i = 0; i < parameters.length; i++) {
        stack[i] = encode[i]!(i < args.length ? args[i] : named?.[parameters[i]!.name] ?? fallbacks[i])
      }
      native.dispatch(operator, overload, stack)
      return results.map((_, i) => own(native.adopt(stack[i]!)))
    }
  }
  const bound = new Map<string, ReturnType<typeof bind>>()
  const all: Torch["all"] = (name, args, named) => {
    let operator = bound.get(name)
    if (operator === undefined) bound.set(name, operator = bind(name))
    return operator(args, named)
  }
  const call: Torch["call"] = (name, ...args) => all(name, args)[0]!
  const free: Torch["free"] = (tensors) => {
    for (const tensor of tensors) native.remove(tensor)
  }
  const scope: Torch["scope"] = (body) => {
    const made = new Set<Handle>()
    scopes.push(made)
    try {
      return body((tensor) => {
        made.delete(tensor)
        return tensor
      })
    } finally {
      scopes.pop()
      free(made)
    }
  }
  const within: Torch["within"] = (body) =>
    scope((keep) =>
      body((tensor) => {
        scopes.at(-2)!.add(tensor)
        return keep(tensor)
      })
    )
  const empty: Torch["empty"] = (shape, dtype = native.dtypes.float32) => own(native.empty(shape, dtype, device))
  const read = <A extends Float32Array | Int16Array>(tensor: Handle, into: A): A => {
    const to = native.over(into, [into.length])
    scope(() => native.copy(to, call("reshape", tensor, [into.length])))
    native.remove(to)
    return into
  }
  return {
    native,
    device,
    launcher,
    all,
    call,
    scope,
    within,
    free,
    floats: native.dtypes.float32,
    empty,
    zeros: (shape, dtype) => {
      const made = empty(shape, dtype)
      native.fill(made, 0)
      return made
    },
    alias: (tensor) => own(native.duplicate(tensor)),
    add: (a, b, alpha = 1) => own(native.add(a, b, alpha)),
    cast: (tensor, dtype) =>
      native.dtypeOf(tensor) === dtype
        ? own(native.duplicate(tensor))
        : all("_to_copy", [tensor], { dtype })[0]!,
    upload: (data, shape) => {
      const whole = data instanceof Float64Array ? Float32Array.from(data) : data
      const to = empty(shape, native.typeOf(whole))
      const from = native.over(whole, shape)
      native.copy(to, from)
      native.remove(from)
      return to
    },
    uploadIndex: (data) => {
      const to = empty([data.length], native.dtypes.int64)
      const from = native.over(data, [data.length])
      native.copy(to, from)
      native.remove(from)
      return to
    },
    download: (tensor, size) => read(tensor, new Float32Array(size)),
    downloadBits: (tensor, size) =>
      scope(() => read(call("view.dtype", tensor, native.dtypes.int16), new Int16Array(size))),
    strided: (tensor, size, strides, offset) => own(native.view(tensor, size, strides, offset))
  }
}
