// A CUDA kernel as a value: its source, the element types that it is made for, and its parameters, from which both its entry
// points and the encoding of a launch follow. Not yet run on a GPU; tests run the same source on the host.
import { prelude } from "./prelude.ts"

/** Types that C++ and `Native.dtypes` share by these names; the prelude says what they are in CUDA. */
export type Element = "float32" | "bfloat16"

export interface Kernel {
  readonly name: string
  /** Defines `template <class A, ...> __device__ void NAME(parameters)` on top of the prelude. */
  readonly source: string
  /** The parameters of that template in C++: pointers, `long long`, `unsigned int` or `float`. */
  readonly parameters: Readonly<Record<string, string>>
  /** What the template is instantiated with, an entry point each. */
  readonly variants: ReadonlyArray<ReadonlyArray<Element>>
}

/** Most threads of a block; every kernel takes any multiple of 32 up to it. */
export const mostThreads = 512

export const entryOf = ({ name }: Pick<Kernel, "name">, variant: ReadonlyArray<Element>): string =>
  [name, ...variant].join("_")

/** The whole translation unit: nothing is included, so that NVRTC needs no headers and a host compiler none of CUDA's. */
export const unitOf = (kernel: Kernel): string => {
  const { name, parameters, source, variants } = kernel
  const names = Object.keys(parameters)
  const entries = variants.map((variant) => {
    const typed = Object.entries(parameters).map(([each, type]) =>
      `${type.replace(/\b[AB]\b/, (letter) => variant[letter === "A" ? 0 : 1]!)} ${each}`
    )
    const call = `${name}<${variant.join(", ")}>(${names.join(", ")})`
    return `extern "C" __global__ void __launch_bounds__(${mostThreads}) ${entryOf(kernel, variant)}(${
      typed.join(", ")
    }) { ${call}; }`
  })
  return [prelude, source, ...entries, ""].join("\n")
}
