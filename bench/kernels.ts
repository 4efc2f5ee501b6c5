// Each kernel of the torch engine beside the composition that it stands for, on one device: whether they agree, and how long
// either takes. A part of gpu.ts. Not yet run on a GPU.
import type { Node, OperationName } from "@penchant/runtime/compute/Graph"
import { type Context, cotangent, floats, ints, type Tensor } from "@penchant/runtime/compute/torch/Lowering"
import { type Adam, splitMaster } from "@penchant/runtime/compute/torch/master"
import type { Handle } from "@penchant/runtime/compute/torch/native"
import { lowerIn, narrowed } from "@penchant/runtime/compute/torch/precision"
import { stochasticMaster } from "@penchant/runtime/compute/torch/rounding"
import type { Torch } from "@penchant/runtime/compute/torch/Torch"

export interface Sizes {
  readonly rows: number
  readonly width: number
  readonly headDim: number
  readonly vocabulary: number
  readonly parameters: number
  readonly repeats: number
}

type Precision = "float32" | "bfloat16"

interface Compared {
  readonly name: string
  readonly precision: Precision
  /** Largest difference, relative to the largest number. */
  readonly difference: number
  readonly pass: boolean
  readonly kernelMicroseconds: number
  readonly composedMicroseconds: number
}

let state = 1
const random = (count: number): Float32Array =>
  Float32Array.from(
    { length: count },
    () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 31 - 1
  )

/** What a step of bfloat16 and sums in another order may differ by. */
const allowed: Readonly<Record<Precision, number>> = { float32: 1e-5, bfloat16: 2 ** -7 }

const difference = (a: Float32Array, b: Float32Array): number => {
  let [most, scale] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    // NaN counts as infinite
    const apart = Math.abs(a[i]! - b[i]!)
    most = Math.max(most, Number.isNaN(apart) ? Infinity : apart)
    scale = Math.max(scale, Math.abs(b[i]!))
  }
  return scale === 0 ? most : most / scale
}

/** Compares every kernel that `torch` has a launcher for with the same torch without it. */
export const compareKernels = (torch: Torch, sizes: Sizes): ReadonlyArray<Compared> => {
  const { headDim, parameters, repeats, rows, vocabulary, width } = sizes
  const composed: Torch = { ...torch, launcher: undefined }
  const results: Array<Compared> = []
  const wait = (x: Handle, count: number) => {
    torch.scope(() => torch.download(torch.strided(x, [1], [1], count - 1), 1))
  }
  /** Microseconds of one run of `body`, which says what to wait for. */
  const time = (body: () => readonly [Handle, number]): number => {
    torch.scope(() => wait(...body()))
    const begun = performance.now()
    for (let i = 0; i < repeats; i++) {
      torch.scope(() => {
        const last = body()
        if (i === repeats - 1) wait(...last)
      })
    }
    return 1000 * (performance.now() - begun) / repeats
  }
  const sizeOf = ({ shape }: Tensor): number => shape.reduce((a, b) => a * b, 1)
  const add = (name: string, precision: Precision, difference: number, microseconds: readonly [number, number]) =>
    results.push({
      name,
      precision,
      difference,
      pass: difference <= allowed[precision],
      kernelMicroseconds: microseconds[0],
      composedMicroseconds: microseconds[1]
    })

  const operation = (
    name: OperationName,
    attributes: object,
    precision: Precision,
    inputs: (narrow: Torch) => Readonly<Record<string, Tensor>>
  ) =>
    torch.scope(() => {
      const kept = new Map<object, Handle>()
      const given = inputs(precision === "bfloat16" ? narrowed(torch) : torch)
      const run = (on: Torch): Readonly<Record<string, Tensor>> => {
        const context: Omit<Context, "torch"> = {
          sizes: { T: rows, M: rows, N: rows, G: 1, S: 1, P: rows },
          index: (elements) => {
            const known = kept.get(elements) ?? torch.uploadIndex(elements)
            kept.set(elements, known)
            return known
          },
          once: (_, __, make) => make(),
          causal: () => {
            throw new Error("no mask is wanted")
          },
          spare: () => false,
          into: undefined
        }
        return lowerIn(on, precision === "bfloat16" ? narrowed(on) : on)(
          { operation: name, attributes } as Node,
          given,
          context
        )
      }
      // made here, so that no run that is timed uploads them
      for (const { ints } of Object.values(given)) if (ints.length > 0) kept.set(ints, torch.uploadIndex(ints))
      const all = (on: Torch) =>
        torch.scope(() =>
          Object.values(run(on)).filter(({ shape }) => shape.length > 0).map((tensor) =>
            torch.download(tensor.handles[0]!, sizeOf(tensor))
          )
        )
      const [a, b] = [all(torch), all(composed)]
      const timed = (on: Torch) =>
        time(() => {
          const first = Object.values(run(on))[0]!
          return [first.handles[0]!, sizeOf(first)]
        })
      const apart = a.map((each, i) => difference(each, b[i]!))
      add(name, precision, Math.max(...apart), [timed(torch), timed(composed)])
    })

  const positions = Int32Array.from({ length: rows }, (_, i) => i % 512)
  for (const precision of ["float32", "bfloat16"] as const) {
    const tensor = (narrow: Torch, ...shape: ReadonlyArray<number>) =>
      floats(narrow.cast(narrow.upload(random(shape.reduce((a, b) => a * b, 1)), shape), narrow.floats), shape)
    const wide = (...shape: ReadonlyArray<number>) => tensor(torch, ...shape)
    operation("rmsNorm", { epsilon: 1e-6 }, precision, (narrow) => ({
      x: tensor(narrow, rows, width),
      weight: tensor(narrow, width)
    }))
    operation("rmsNormBackward", {}, precision, (narrow) => ({
      cotangent: tensor(narrow, rows, width),
      x: tensor(narrow, rows, width),
      weight: tensor(narrow, width),
      inverse: wide(rows, 1)
    }))
    operation("rope", { headDim, dims: headDim, style: "half", inverse: false }, precision, (narrow) => ({
      x: tensor(narrow, rows, width),
      positions: ints(positions),
      cos: wide(512, headDim / 2),
      sin: wide(512, headDim / 2)
    }))
    operation(
      "swiglu",
      {},
      precision,
      (narrow) => ({ gate: tensor(narrow, rows, width), up: tensor(narrow, rows, width) })
    )
    operation("swigluBackward", {}, precision, (narrow) => ({
      cotangent: tensor(narrow, rows, width),
      gate: tensor(narrow, rows, width),
      up: tensor(narrow, rows, width)
    }))
    // products of 64 columns are a small part beside the softmax
    const head = (narrow: Torch) => ({
      hidden: tensor(narrow, rows, 64),
      head: tensor(narrow, vocabulary, 64),
      predictor: ints(Int32Array.from({ length: rows }, (_, i) => i)),
      targets: ints(Int32Array.from({ length: rows }, (_, i) => 37 * i % vocabulary))
    })
    operation("tokenLogProb", {}, precision, head)
    operation("tokenLogProbBackward", {}, precision, (narrow) => {
      const given = head(narrow)
      const context = { index: torch.uploadIndex, spare: () => false } as unknown as Context
      const { saved } = lowerIn(composed, { ...narrow, launcher: undefined })(
        { operation: "tokenLogProb", attributes: {} } as Node,
        given,
        context
      )
      const pull = Float64Array.from(random(rows))
      return { ...given, cotangent: cotangent(torch.upload(pull, [rows]), pull), saved: saved! }
    })
  }

  for (const [name, layout] of [["splitAdamW", splitMaster], ["stochasticAdamW", stochasticMaster(5)]] as const) {
    const weights = random(parameters)
    const gradients = random(parameters)
    const runs = [torch, composed].map((on) => {
      const held: Array<Handle> = []
      const hold = (make: () => Handle): Handle => {
        const made = on.scope((keep) => keep(make()))
        held.push(made)
        return made
      }
      const master = layout(on, hold, weights)
      const [m, v] = [hold(() => on.zeros([parameters])), hold(() => on.zeros([parameters]))]
      on.scope(() => on.native.copy(master.gradients, on.upload(gradients, [parameters])))
      let updates = 0
      const update = () => {
        updates += 1
        const step = on.upload(Float32Array.of(updates), [1])
        const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 }
        const adam: Adam = { ...settings, m, v, step, updates, gradScale: on.upload(Float32Array.of(2), [1]) }
        master.update([{ name: "", shape: [parameters], from: 0, size: parameters }], adam)
        return [v, parameters] as const
      }
      on.scope(update)
      const read = master.read()
      const microseconds = time(update)
      on.free(held)
      return { read, microseconds }
    })
    add(name, "bfloat16", difference(runs[0]!.read, runs[1]!.read), [runs[0]!.microseconds, runs[1]!.microseconds])
  }
  return results
}
