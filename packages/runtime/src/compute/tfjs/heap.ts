// The memory of the wasm backend: 4 GiB at most, whatever the machine has. When it is full, allocation answers 0, which the
// backend would take for an address, and XNNPACK aborts; here both become `NoRoom` before anything is written.
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import { NoRoom } from "../Backend.ts"

const totalBytes = 2 ** 32

/** What every module of emscripten has, and the package's types leave out. */
export interface Emscripten {
  readonly cwrap: (
    name: string,
    returns: null,
    takes: ReadonlyArray<"number" | "array">
  ) => (...args: ReadonlyArray<number | Uint8Array>) => void
  _malloc: (bytes: number) => number
  readonly _free: (at: number) => void
}
export const moduleOf = ({ wasm }: BackendWasm): Emscripten => wasm as unknown as Emscripten

export interface Heap {
  /** Throws `NoRoom` unless the library could now allocate that much in one piece. */
  readonly need: (bytes: number) => void
}

/** After the first allocation, in which the module puts its own `_malloc` in place. */
export const guardHeap = (backend: BackendWasm): Heap => {
  const wasm = moduleOf(backend)
  const allocate = wasm._malloc
  const checked = (bytes: number): number => {
    const at = allocate(bytes)
    if (at !== 0) return at
    throw new NoRoom(`wasm has no ${(bytes / 2 ** 20).toFixed(0)} MiB left of the 4 GiB that it can address`, {
      askedBytes: bytes,
      totalBytes
    })
  }
  wasm._malloc = checked
  return { need: (bytes) => wasm._free(checked(bytes)) }
}
