// Loads the TensorFlow.js that was chosen.
import { createRequire } from "node:module"
import * as path from "node:path"
import type { Choice } from "./choice.ts"
import type { Tf } from "./Lowering.ts"
import { registerProducts } from "./products.ts"

const require = createRequire(import.meta.url)

/** The native packages call two functions of `util` that Node 23 removed or deprecated, so they are put there first. */
export const loadNative = (folder: string): Tf => {
  Object.assign(require("node:util"), {
    isArray: Array.isArray,
    isNullOrUndefined: (x: unknown) => x === null || x === undefined
  })
  return require(folder) as Tf
}

/** SIMD on, one thread: see bench/LOG.md for why not two. */
const loadWasm = async (folder: string): Promise<Tf> => {
  const tf = require("@tensorflow/tfjs-core") as Tf
  const { setWasmPaths } = require(folder) as typeof import("@tensorflow/tfjs-backend-wasm")
  setWasmPaths(`${path.join(folder, "dist")}${path.sep}`)
  if (!await tf.setBackend("wasm")) throw new Error("the wasm backend of TensorFlow.js did not start")
  registerProducts(tf)
  return tf
}

const loaded = new Map<string, Promise<Tf>>()

/** Once per thread: the library keeps its backends in a global. */
export const load = ({ backend, folder }: Choice): Promise<Tf> => {
  const known = loaded.get(folder)
    ?? (backend === "wasm" ? loadWasm(folder) : Promise.resolve().then(() => loadNative(folder)))
  loaded.set(folder, known)
  return known
}
