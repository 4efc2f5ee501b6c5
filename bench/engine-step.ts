// What one optimiser step of the onnx or the torch engine costs: DPO on 8 real pairs, AdamW after it, for three sizes of
// Llama. onnx runs forward, loss and backward at once; torch takes coefficients from the host between the two. The 260K
// model and its token ids are real; the larger ones have random weights and ids, and lengths cut to what their
// vocabularies would make of the same text.
// node bench/engine-step.ts [260K|5.4M|27M] [--engine onnx|torch] [--threads N] [--profile]     (--profile: onnx only)
import type { Formula, Need } from "@penchant/dsl/Formula"
import { simplify } from "@penchant/dsl/Simplify"
import { dpo } from "@penchant/objectives"
import type { EngineOptions } from "@penchant/runtime/compute/Backend"
import { backends } from "@penchant/runtime/compute/backends"
import { type Batch, pack } from "@penchant/runtime/compute/Batch"
import type { Update } from "@penchant/runtime/compute/Engine"
import { batchFeeds, objectiveFeeds, tableFeed } from "@penchant/runtime/compute/onnx/feeds"
import { gradientName, sumName, trainingModel } from "@penchant/runtime/compute/onnx/models"
import { sessionOptions } from "@penchant/runtime/compute/onnx/sessions"
import { architecture } from "@penchant/runtime/model/families"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { count, dataOf, modelOf, type Size, sizes } from "./models.ts"

// onnxruntime is a dependency of the runtime, not of the workspace.
const { InferenceSession, Tensor } = createRequire(
  new URL("../packages/runtime/package.json", import.meta.url)
)("onnxruntime-node") as typeof import("../packages/runtime/node_modules/onnxruntime-node/dist/index.js")

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: "string", default: "onnx" },
    threads: { type: "string" },
    profile: { type: "boolean", default: false }
  }
})
const engine = flags.engine === "torch" ? "torch" : "onnx"
const threads = Number(flags.threads ?? os.availableParallelism())

const objective = dpo({ beta: 0.1 })
const fused = {
  formula: simplify((objective.loss as Formula<Need>).node),
  parameters: objective.parameters,
  sides: ["chosen", "rejected"]
}
const inputsFor = (batch: Batch) => ({
  reference: new Float64Array(batch.targets.length).fill(-2),
  columns: {},
  scale: 1 / 8
})
const update: Update = {
  learningRate: 1e-9,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1
}

const measure = async (name: string, size: Size, options: EngineOptions): Promise<void> => {
  const backend = await (await backends[engine]()).start(options)
  const model = modelOf(name, size.config)
  const session = await backend.open(model, { fused })
  const data = dataOf(size)
  const batch = pack(data, data.ids.map(Number))
  const coefficients = Float64Array.from(batch.targets, (_, n) => n % 2 === 0 ? 0.01 : -0.01)
  const times: Array<readonly [step: number, update: number]> = []
  for (let i = 0; i < size.steps; i++) {
    const begun = performance.now()
    if (session.fused !== undefined) await session.fused(batch, inputsFor(batch))
    else {
      await session.forward(batch)
      await session.backward(coefficients)
    }
    const between = performance.now()
    await session.update(update)
    times.push([performance.now() - begun, performance.now() - between])
  }
  const [first, ...rest] = times.map(([step]) => step)
  const sorted = rest.toSorted((a, b) => a - b)
  const [best, median] = [sorted[0]!, sorted[Math.floor(sorted.length / 2)]!]
  const ofUpdate = Math.min(...times.map(([, each]) => each))
  console.log(
    `${name.padEnd(5)} ${batch.tokens.length} rows  best ${(8000 / best).toFixed(1)} pairs/s (${best.toFixed(0)} ms)  `
      + `median ${(8000 / median).toFixed(1)}  update ${ofUpdate.toFixed(1)} ms  first step ${first!.toFixed(0)} ms`
  )
  await session.close()
  await backend.close()
}

/** Time per operator, the least of several runs of each node, on one thread. */
const profile = async (name: string, size: Size): Promise<void> => {
  const model = modelOf(name, size.config)
  const forward = Result.getOrThrow(architecture(size.config)).forward()
  const data = dataOf(size)
  const batch = pack(data, [0, 1, 2, 3])
  const layout = { groups: 4, branches: 2, promptTiles: 2 }
  const made = trainingModel(forward, layout, { loss: fused })
  const wanted = made.inputs.map((input) => input.name)
  const feeds = {
    ...batchFeeds(batch, layout, wanted),
    ...objectiveFeeds(batch, fused, inputsFor(batch), wanted),
    ...Object.fromEntries(
      forward.graph.inputs.flatMap((input) =>
        input.source.kind === "table" ? [[input.name, tableFeed(input, 512)]] : []
      )
    )
  }
  let at = 0
  for (const [i, tensor] of model.names.entries()) {
    const shape = model.shapes[i]!
    feeds[tensor] = new Tensor("float32", model.parameters.slice(at, at += count(shape)) as Float32Array, shape)
    feeds[sumName(tensor)] = new Tensor("float32", new Float32Array(count(shape)), shape)
  }
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "engine-step-"))
  const session = await InferenceSession.create(made.bytes, {
    ...sessionOptions(1),
    enableProfiling: true,
    profileFilePrefix: path.join(directory, "profile")
  })
  const fed = Object.fromEntries(session.inputNames.map((each) => [each, feeds[each]!]))
  const tensors = new Set(model.names.map(gradientName))
  const fetched = Object.fromEntries(
    session.outputNames.map((
      each
    ) => [each, tensors.has(each) ? feeds[sumName(each.slice("gradient ".length))]! : null])
  )
  for (let i = 0; i < 8; i++) await session.run(fed, fetched)
  session.endProfiling()
  const file = path.join(directory, fs.readdirSync(directory)[0]!)
  const events: ReadonlyArray<{
    readonly name: string
    readonly dur: number
    readonly args: { readonly op_name?: string }
  }> = JSON.parse(fs.readFileSync(file, "utf8"))
  fs.rmSync(directory, { recursive: true })
  const least = new Map<string, { readonly operator: string; readonly micros: number }>()
  for (const { args, dur, name: node } of events) {
    if (!node.endsWith("_kernel_time") || args.op_name === undefined) continue
    if (dur < (least.get(node)?.micros ?? Infinity)) least.set(node, { operator: args.op_name, micros: dur })
  }
  const perOperator = new Map<string, number>()
  for (const { micros, operator } of least.values()) {
    perOperator.set(operator, (perOperator.get(operator) ?? 0) + micros)
  }
  const total = [...perOperator.values()].reduce((a, b) => a + b, 0)
  console.log(
    `${name}, 4 pairs, ${batch.tokens.length} rows, one thread: ${(total / 1000).toFixed(0)} ms in ${least.size} nodes`
  )
  for (const [operator, micros] of [...perOperator].toSorted(([, a], [, b]) => b - a).slice(0, 12)) {
    console.log(
      `  ${operator.padEnd(30)} ${(micros / 1000).toFixed(1).padStart(8)} ms ${
        (100 * micros / total).toFixed(0).padStart(4)
      } %`
    )
  }
}

console.log(`${engine} engine, ${os.cpus()[0]?.model.trim()}, ${threads} threads, Node ${process.versions.node}`)
for (const [name, size] of Object.entries(sizes)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  await measure(name, size, { threads })
  if (flags.profile) await profile(name, size)
}
