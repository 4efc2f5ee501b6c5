// What training really holds against what is planned: one forward and backward at each size, in a fresh process per row.
// node bench/memory.ts [onnx|torch|reference ...]
// Prints, in MB, the peak resident memory above that of the opened session, and the plan's activations and workspace;
// then the seconds of one more run. Linux only.
import type { Formula, Need } from "@penchant/dsl/Formula"
import { simplify } from "@penchant/dsl/Simplify"
import { dpo } from "@penchant/objectives"
import { backends, type EngineName } from "@penchant/runtime/compute/backends"
import { pack, type TokenGroups } from "@penchant/runtime/compute/Batch"
import { footprintOf, planned } from "@penchant/runtime/compute/footprint"
import { loadOf } from "@penchant/runtime/compute/load"
import { architecture } from "@penchant/runtime/model/families"
import * as Result from "effect/Result"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const llama = (hidden: number, inner: number, layers: number, vocabulary: number) => ({
  architectures: ["LlamaForCausalLM"],
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: vocabulary,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true
})
const sizes: Readonly<Record<string, ReturnType<typeof llama>>> = {
  "260K": llama(64, 172, 5, 512),
  "5.4M": llama(256, 688, 6, 4096),
  "27M": llama(512, 1376, 8, 8192)
}

/** Pairs of one length each: a prompt of 128, answers of 64. */
const pairs = (count: number): TokenGroups => ({
  tokens: Int32Array.from({ length: count * 256 }, (_, i) => i * 7 % 500),
  offsets: Int32Array.from({ length: count + 1 }, (_, i) => i * 256),
  promptLength: new Int32Array(count).fill(128),
  branchLength: new Int32Array(2 * count).fill(64),
  sides: ["chosen", "rejected"],
  ids: Array.from({ length: count }, (_, i) => String(i)),
  columns: {}
})

// As training does with a loss that is no more than a formula: onnx computes it within one run.
const objective = dpo({ beta: 0.1 })
const fused = {
  formula: simplify((objective.loss as Formula<Need>).node),
  parameters: objective.parameters,
  sides: ["chosen", "rejected"]
}

const status = (field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(fs.readFileSync("/proc/self/status", "utf8"))![1]) * 1024

const measure = async (engine: EngineName, size: string, count: number, recompute: boolean): Promise<void> => {
  const config = sizes[size]!
  const described = Result.getOrThrow(architecture(config))
  const { tensors } = described
  const total = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const model = {
    config,
    names: tensors.map(({ name }) => name),
    shapes: tensors.map(({ shape }) => shape),
    parameters: Float32Array.from({ length: total }, (_, i) => Math.sin(i) / 20)
  }
  const data = pairs(count)
  const groups = data.ids.map((_, i) => i)
  const backend = await (await backends[engine]()).start({ threads: 2 })
  const session = await backend.open(model, { fused })
  const run = async (batch: ReturnType<typeof pack>): Promise<void> => {
    const reference = new Float64Array(batch.targets.length).fill(-2)
    if (session.fused !== undefined) {
      await session.fused(batch, { reference, columns: {}, scale: 1 / count }, { recompute })
      return
    }
    await session.forward(batch, { recompute })
    await session.backward(new Float64Array(batch.targets.length).fill(1e-3))
  }
  // Room for gradients is made by the first run, of one short pair.
  await run(pack(data, [0]))
  globalThis.gc?.()
  const before = status("VmRSS")
  fs.writeFileSync("/proc/self/clear_refs", "5")
  await run(pack(data, groups))
  const held = status("VmHWM") - before
  const began = performance.now()
  await run(pack(data, groups))
  const seconds = (performance.now() - began) / 1000
  const plan = footprintOf(planned(described.forward()), { engine }, loadOf(data, groups, data.sides), recompute)!
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0).padStart(6)
  const planBytes = plan.activations + plan.workspace
  process.stdout.write(
    `${engine.padEnd(10)}${size.padEnd(6)}${String(count * 254).padStart(6)} rows${
      recompute ? " recomputed" : "           "
    }`
      + `  measured${mb(held)}  planned${mb(planBytes)} (${(planBytes / held).toFixed(2)})`
      + `  of it activations${mb(plan.activations)}  ${seconds.toFixed(2)} s\n`
  )
  await session.close()
  await backend.close()
}

const [engine, size, count, recompute] = process.argv.slice(2)
if (size !== undefined) await measure(engine as EngineName, size, Number(count), recompute === "true")
else {
  for (const each of engine === undefined ? ["onnx", "torch"] : [engine]) {
    for (const name of Object.keys(sizes)) {
      for (const [n, again] of [[4, false], [16, false], [16, true]] as const) {
        const args = ["--expose-gc", fileURLToPath(import.meta.url), each, name, String(n), String(again)]
        spawnSync(process.execPath, args, { stdio: "inherit" })
      }
    }
  }
}
