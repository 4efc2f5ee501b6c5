// The process that tries a native binding: loads the package in the folder that it is given and says what it found.
import type { Tried } from "./choice.ts"
import { loadNative } from "./load.ts"

const { binding, isUsingGpuDevice } = loadNative(process.argv[2]!).backend() as unknown as {
  readonly binding: { readonly TF_Version: string }
  readonly isUsingGpuDevice: boolean
}
const tried: Tried = { tensorflow: binding.TF_Version, gpu: isUsingGpuDevice }
console.log(JSON.stringify(tried))
