// The process that tries a native binding: loads the package in the folder that it is given and says what it found.
import type { Tried } from "./choice.ts"
import { loadNative } from "./load.ts"

const attempt = (folder: string): Tried => {
  try {
    const { binding, isUsingGpuDevice } = loadNative(folder).backend() as unknown as {
      readonly binding: { readonly TF_Version: string }
      readonly isUsingGpuDevice: boolean
    }
    return { tensorflow: binding.TF_Version, gpu: isUsingGpuDevice }
  } catch (error) {
    return { problem: (error instanceof Error ? error.message : String(error)).split("\n")[0]! }
  }
}

console.log(JSON.stringify(attempt(process.argv[2]!)))
