// Preloaded (`node --import`) into a command that shall die at one of its writes: KILL_AT is the number of the write, before
// which (odd) or after which (even) the process kills itself; a write of bytes that dies before its end leaves half of them.
// WRITES_TO is a file that gets the number of writes of a process that lives. Every thread counts for itself.
import * as fs from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"

const at = Number(process.env["KILL_AT"] ?? Infinity)
let writes = 0

const die = (): never => {
  process.kill(process.pid, "SIGKILL")
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

type Call = (this: unknown, ...args: Array<unknown>) => unknown

/** The first half of what was to be written, by the argument at `index`. */
const halved = (args: ReadonlyArray<unknown>, index: number): Array<unknown> | undefined => {
  const data = args[index]
  if (typeof data === "string") return args.with(index, data.slice(0, data.length / 2))
  if (!ArrayBuffer.isView(data) || data.byteLength < 2) return undefined
  const half = data.byteLength >> 1
  const cut = args.with(index, new Uint8Array(data.buffer, data.byteOffset, half))
  // write(bytes, offset, length, position)
  return typeof args[index + 2] === "number" ? cut.with(index + 2, Math.min(half, args[index + 2] as number)) : cut
}

const patch = (of: object, name: string, dataAt?: number): void => {
  const original = Reflect.get(of, name) as Call | undefined
  if (typeof original !== "function") return
  const patched: Call = function(...args) {
    writes += 1
    if (writes !== at) return original.apply(this, args)
    if (at % 2 === 1) {
      const half = dataAt === undefined ? undefined : halved(args, dataAt)
      const done = half === undefined ? undefined : original.apply(this, half)
      return done instanceof Promise ? done.then(die, die) : die()
    }
    const done = original.apply(this, args)
    return done instanceof Promise ? done.then(die, die) : die()
  }
  Object.defineProperty(of, name, { value: patched, writable: true, configurable: true })
}

const real = createRequire(import.meta.url)("node:fs") as typeof fs
const file = await real.promises.open(import.meta.filename, "r")
const handle = Object.getPrototypeOf(file) as object
await file.close()
for (const name of ["rename", "symlink", "link", "mkdir", "rm", "unlink", "copyFile", "truncate", "chmod"]) {
  patch(real, `${name}Sync`)
  patch(real.promises, name)
}
patch(real, "fsyncSync")
for (const [name, dataAt] of [["writeFile", 1], ["appendFile", 1]] as const) {
  patch(real, `${name}Sync`, dataAt)
  patch(real.promises, name, dataAt)
  patch(handle, name, 0)
}
patch(real, "writeSync", 1)
patch(handle, "write", 0)
for (const name of ["sync", "datasync", "truncate", "chmod"]) patch(handle, name)
patch(DatabaseSync.prototype, "exec")
patch(StatementSync.prototype, "run")
syncBuiltinESMExports()

const countTo = process.env["WRITES_TO"]
if (isMainThread && countTo !== undefined && process.argv[1]?.endsWith("main.ts") === true) {
  process.on("exit", () => real.writeFileSync(countTo, String(writes)))
}
