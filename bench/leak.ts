// Whether long training leaves memory flat: optimiser steps of the 260K model on the same batches, over and over, and the
// resident memory of the process at every tenth of the way.
// node bench/leak.ts [--engine torch|onnx] [--steps 10000] [--out FILE]     Linux only.
import { backends } from "@penchant/runtime/compute/backends"
import { pack, type TokenGroups } from "@penchant/runtime/compute/Batch"
import type { ModelState } from "@penchant/runtime/compute/Engine"
import { decodeSafetensors } from "@penchant/runtime/data/safetensors"
import { architecture } from "@penchant/runtime/model/families"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as os from "node:os"
import { parseArgs } from "node:util"

const { values: flags } = parseArgs({
  options: {
    engine: { type: "string", default: "torch" },
    steps: { type: "string", default: "10000" },
    out: { type: "string" }
  }
})
const engine = flags.engine === "onnx" ? "onnx" : "torch"
const steps = Number(flags.steps)

const folder = new URL("../data/models/stories260K/", import.meta.url)
const config: unknown = JSON.parse(fs.readFileSync(new URL("config.json", folder), "utf8"))
const stored = Result.getOrThrow(decodeSafetensors(fs.readFileSync(new URL("model.safetensors", folder)), "model"))
const { tensors } = Result.getOrThrow(architecture(config))
const model: ModelState = {
  config,
  names: tensors.map(({ name }) => name),
  shapes: tensors.map(({ shape }) => shape),
  parameters: Float32Array.from(tensors.flatMap(({ name }) => Array.from(stored.tensors[name]!.data as Float32Array)))
}

/** One pair of other lengths each, so that no cache of shapes hides a leak of shapes. */
const pairs: TokenGroups = {
  tokens: Int32Array.from({ length: 64 * 40 }, (_, i) => 3 + i * 7919 % 500),
  offsets: Int32Array.from({ length: 65 }, (_, i) => i * 40),
  promptLength: Int32Array.from({ length: 64 }, (_, i) => 4 + i % 9),
  branchLength: Int32Array.from({ length: 128 }, (_, i) => {
    const rest = 36 - Math.floor(i / 2) % 9
    const first = 5 + Math.floor(i / 2) % 20
    return i % 2 === 0 ? first : rest - first
  }),
  sides: ["chosen", "rejected"],
  ids: Array.from({ length: 64 }, (_, i) => String(i)),
  columns: {}
}
const residentMiB = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync("/proc/self/status", "utf8"))![1]) / 1024

const backend = await (await backends[engine]()).start({ threads: 1 })
const session = await backend.open(model, {})
const update = { learningRate: 1e-6, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
const live = engine === "torch" ? (await import("@penchant/runtime/compute/torch/backend")).liveTensors : () => 0
const rows: Array<{ readonly step: number; readonly residentMiB: number; readonly liveTensors: number }> = []
const begun = performance.now()
for (let step = 1; step <= steps; step++) {
  const batch = pack(pairs, [step % 64])
  await session.forward(batch)
  await session.backward(Float64Array.from(batch.targets, (_, n) => n % 2 === 0 ? 0.01 : -0.01))
  await session.update(update)
  if (step % (steps / 10) === 0) {
    rows.push({ step, residentMiB: residentMiB(), liveTensors: live() })
    console.log(`${String(step).padStart(6)} steps  ${residentMiB().toFixed(0)} MiB  ${live()} tensors`)
  }
}
const seconds = (performance.now() - begun) / 1000
await session.close()
await backend.close()
// the first half is where V8 and allocators find their size
const grown = rows.at(-1)!.residentMiB - rows[rows.length / 2 - 1]!.residentMiB
console.log(
  `${engine}: ${grown.toFixed(1)} MiB more after ${steps} steps than after ${steps / 2}; ${live()} tensors left; ${
    seconds.toFixed(0)
  } s`
)
if (flags.out !== undefined) {
  const machine = { cpu: os.cpus()[0]?.model, node: process.version, date: new Date().toISOString() }
  const command = `node bench/leak.ts --engine ${engine} --steps ${steps}`
  fs.writeFileSync(
    flags.out,
    `${JSON.stringify({ command, machine, seconds, grownMiB: grown, left: live(), rows }, undefined, 2)}\n`
  )
}
