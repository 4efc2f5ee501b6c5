// Everything about the torch engine that only a GPU shows, in one command: does it compute what the oracle computes, how fast
// are its parts and its kernels, how fast does it train beside TRL. Not yet run on a GPU; `--device cpu` runs all of it that a CPU can.
// LIBTORCH=.../torch/lib node bench/gpu.ts [--device cuda|cpu] [--shapes tiny,0.5B,1.5B,7B] [--python PATH] [--out FILE]
import { recipe } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import type { EngineOptions } from "@penchant/runtime/compute/Backend"
import { pack, type TokenGroups } from "@penchant/runtime/compute/Batch"
import { Engine, type ModelState } from "@penchant/runtime/compute/Engine"
import { layer } from "@penchant/runtime/compute/Engines"
import { start as startOracle } from "@penchant/runtime/compute/reference/backend"
import { start } from "@penchant/runtime/compute/torch/backend"
import { cudaDevices, driver } from "@penchant/runtime/compute/torch/cuda"
import { describe } from "@penchant/runtime/compute/torch/describe"
import { discover } from "@penchant/runtime/compute/torch/discovery"
import { kernelCache, loadKernels } from "@penchant/runtime/compute/torch/kernels/load"
import { nvrtcFolders } from "@penchant/runtime/compute/torch/kernels/nvrtc"
import { nativeIn, schemasOf, torchIn } from "@penchant/runtime/compute/torch/start"
import { torchOf } from "@penchant/runtime/compute/torch/Torch"
import { encodeSafetensors } from "@penchant/runtime/data/safetensors"
import { scoreAll } from "@penchant/runtime/evaluation/score"
import { homeDirectory } from "@penchant/runtime/platform/home"
import { type Event, Progress } from "@penchant/runtime/platform/Progress"
import { train } from "@penchant/runtime/training/train"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { compareKernels } from "./kernels.ts"
import { count, modelOf } from "./models.ts"

const { values: flags } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    shapes: { type: "string", default: "tiny,0.5B,1.5B" },
    steps: { type: "string", default: "6" },
    python: { type: "string" },
    out: { type: "string" }
  }
})
const { device } = flags
const cuda = device !== "cpu"
const installation = discover()
if ("problem" in installation) throw new Error(`${installation.problem}: ${installation.remedy}`)

const qwen = (hidden: number, inner: number, layers: number, heads: number, kvHeads: number, tied: boolean) => ({
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  vocab_size: tied ? 151_936 : 152_064,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  hidden_act: "silu",
  tie_word_embeddings: tied
})
/** Qwen2.5's shapes; weights are random. */
const shapes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  tiny: { ...qwen(128, 256, 3, 8, 4, true), vocab_size: 1000 },
  "0.5B": qwen(896, 4864, 24, 14, 2, true),
  "1.5B": qwen(1536, 8960, 28, 12, 2, true),
  "7B": qwen(3584, 18_944, 28, 28, 4, false)
}
/** Medians of prompt and answers; lengths spread from half to twice around them (arXiv 2410.20305's datasets). */
const lengths = { HH: [96, 45], UltraFeedback: [71, 169] } as const

const pairsOf = (pairs: number, [prompt, answer]: readonly [number, number], vocabulary: number): TokenGroups => {
  let seed = 7
  const next = () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
  const around = (median: number) => Math.max(2, Math.round(median * 2 ** (2 * next() - 1)))
  const parts = Array.from({ length: pairs }, () => [around(prompt), around(answer), around(answer)])
  const offsets = [0]
  for (const each of parts) offsets.push(offsets.at(-1)! + each.reduce((a, b) => a + b))
  return {
    tokens: Int32Array.from({ length: offsets.at(-1)! }, () => Math.floor(next() * vocabulary)),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(parts, ([p]) => p!),
    branchLength: Int32Array.from(parts.flatMap(([, c, r]) => [c!, r!])),
    sides: ["chosen", "rejected"],
    ids: parts.map((_, i) => String(i)),
    columns: {}
  }
}

const results: Array<object> = []
const note = (result: object): void => {
  results.push(result)
  console.log(JSON.stringify(result))
}
/** One part that fails leaves the others. */
const part = async (name: string, run: () => Promise<object>): Promise<void> => {
  try {
    note({ name, ...await run() })
  } catch (error) {
    note({ name, failed: error instanceof Error ? error.message : String(error) })
  }
}

/** Log-probabilities and gradients of a small model against float64. */
const agrees = async (
  precision: "float32" | "bfloat16",
  change: object,
  options: Pick<EngineOptions, "kernels"> = {}
): Promise<object> => {
  const model = modelOf("tiny", { ...shapes["tiny"]!, ...change })
  const data = pairsOf(6, [20, 12], 1000)
  const batch = pack(data, [0, 1, 2, 3, 4, 5])
  const pull = Float64Array.from(batch.targets, (_, n) => Math.cos(n))
  const backend = await start({ device, ...options })
  const session = await backend.open(model, { precision })
  const exact = await (await startOracle({})).open({ ...model, parameters: Float64Array.from(model.parameters) }, {})
  const [got, expected] = [await session.forward(batch), await exact.forward(batch)]
  await session.backward(pull)
  await exact.backward(pull)
  const [g, e] = [await session.gradients(), await exact.gradients()]
  await session.close()
  let [both, ofG, ofE] = [0, 0, 0]
  for (let i = 0; i < e.length; i++) {
    both += g[i]! * e[i]!
    ofG += g[i]! ** 2
    ofE += e[i]! ** 2
  }
  const error = got.reduce((most, value, n) => Math.max(most, Math.abs(value - expected[n]!)), 0)
  const cosine = both / Math.sqrt(ofG * ofE)
  return {
    precision,
    ...change,
    ...options,
    error,
    cosine,
    pass: error < (precision === "float32" ? 1e-4 : 0.1) && cosine > 0.999
  }
}

const parts = async (): Promise<object> => {
  const where = cuda ? { kind: "cuda", index: 0 } as const : { kind: "cpu" } as const
  const torch = torchIn(installation, where)
  const { bfloat16, float32 } = torch.native.dtypes
  const [m, k, n] = cuda ? [8192, 4096, 4096] : [512, 512, 512]
  const rate = (dtype: number): number =>
    torch.scope(() => {
      const random = (rows: number, columns: number) =>
        torch.cast(torch.upload(Float32Array.from({ length: rows * columns }, Math.random), [rows, columns]), dtype)
      const [a, b] = [random(m, k), random(k, n)]
      const wait = (x: bigint) => torch.download(torch.call("narrow", torch.call("narrow", x, 0, 0, 1), 1, 0, 1), 1)
      wait(torch.call("mm", a, b))
      const begun = performance.now()
      let last = a
      for (let i = 0; i < 20; i++) last = torch.call("mm", a, b)
      wait(last)
      return 20 * 2 * m * k * n / (performance.now() - begun) / 1e9
    })
  const small = (): number =>
    torch.scope(() => {
      const a = torch.zeros([4, 4])
      const begun = performance.now()
      for (let i = 0; i < 5000; i++) torch.scope(() => torch.call("mm", a, a))
      return (performance.now() - begun) / 5
    })
  return {
    product: [m, k, n],
    bfloat16Tflops: rate(bfloat16),
    float32Tflops: rate(float32),
    microsecondsPerCall: small()
  }
}

/** Our kernels beside the compositions; a CPU has none. */
const kernels = async (): Promise<object> => {
  const devices = cudaDevices()
  if (!cuda || "problem" in devices) return { skipped: "kernels are for a CUDA device" }
  const where = { kind: "cuda", index: 0 } as const
  const native = nativeIn(installation, where)
  const sources = {
    folders: nvrtcFolders(installation.lib),
    version: installation.version,
    capability: devices[0]!.capability,
    cache: kernelCache(homeDirectory())
  }
  const { launcher, notice } = loadKernels(native, sources, driver()!, where.index)
  const torch = torchOf(native, where, schemasOf(installation), launcher)
  try {
    const sizes = { rows: 2048, width: 4096, headDim: 128, vocabulary: 151_936, parameters: 2 ** 26, repeats: 20 }
    return { notice, compared: launcher === undefined ? [] : compareKernels(torch, sizes) }
  } finally {
    launcher?.close()
  }
}

const trains = async (
  shape: string,
  data: keyof typeof lengths,
  options: Pick<EngineOptions, "kernels"> = {}
): Promise<object> => {
  const config = shapes[shape]!
  const [batchSize, steps] = [cuda ? 32 : 4, Number(flags.steps)]
  const model = modelOf(shape, config)
  const pairs = pairsOf(batchSize * steps, lengths[data], config["vocab_size"] as number)
  const events: Array<{ readonly at: number; readonly event: Event }> = []
  const listener = Progress.of({
    emit: (event: Event) => Effect.sync(() => void events.push({ at: performance.now(), event }))
  })
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-gpu-"))
  const program = Effect.gen(function*() {
    const { numerics, open } = yield* Engine
    const reference = yield* Effect.scoped(
      Effect.flatMap(open(model, { precision: "bfloat16" }), (session) => scoreAll(session, numerics, pairs))
    )
    return yield* train({
      label: "bench",
      model,
      data: pairs,
      reference,
      referenceIsStart: true,
      objective: dpo({ beta: 0.1 }),
      recipe: recipe({
        learningRate: 1e-6,
        schedule: "constant",
        warmupRatio: 0,
        batchSize,
        order: "given",
        precision: "bfloat16"
      }),
      policy: { checkpointEvery: steps + 1, checkpointSeconds: 3600 },
      scratch,
      identity: {}
    })
  })
  const { cursor } = await Effect.runPromise(
    program.pipe(Effect.provide(Layer.merge(layer("torch", { device, ...options }), Layer.succeed(Progress, listener))))
  )
  fs.rmSync(scratch, { recursive: true, force: true })
  const done = events.filter(({ event }) => event._tag === "StepProgress" && event.label === "bench")
  const [first, last] = [done[0]!, done.at(-1)!]
  const ours = {
    pairsPerSecond: (steps - 1) * batchSize / ((last.at - first.at) / 1000),
    last: last.event,
    losses: cursor.metrics.map(({ loss }) => loss)
  }
  const result = { shape, data, batchSize, ...options, ours }
  return options.kernels === undefined ? { ...result, ...beside(model, pairs, steps, batchSize) } : result
}

/** TRL on the same weights and token ids, where a Python with it is given. */
const beside = (model: ModelState, pairs: TokenGroups, steps: number, batchSize: number): object => {
  if (flags.python === undefined) return { peers: "no --python" }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-gpu-"))
  const tokenizer = path.join(import.meta.dirname, "../data/models/stories260K")
  for (const file of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
    if (fs.existsSync(path.join(tokenizer, file))) fs.copyFileSync(path.join(tokenizer, file), path.join(folder, file))
  }
  fs.writeFileSync(path.join(folder, "config.json"), JSON.stringify(model.config))
  let at = 0
  const tensors = Object.fromEntries(model.names.map((name, i) => {
    const shape = model.shapes[i]!
    return [name, {
      dtype: "F32",
      shape: [...shape],
      data: model.parameters.slice(at, at += count(shape)) as Float32Array
    }]
  }))
  fs.writeFileSync(path.join(folder, "model.safetensors"), encodeSafetensors(tensors as never, { format: "pt" }))
  const rows = pairs.ids.map((_, i) => {
    const [from, p, c] = [pairs.offsets[i]!, pairs.promptLength[i]!, pairs.branchLength[2 * i]!]
    const ids = (a: number, b: number) => Array.from(pairs.tokens.subarray(a, b))
    return {
      prompt_ids: ids(from, from + p),
      chosen_ids: ids(from + p, from + p + c),
      rejected_ids: ids(from + p + c, pairs.offsets[i + 1]!)
    }
  })
  fs.writeFileSync(path.join(folder, "pairs.json"), JSON.stringify(rows))
  const peers = ["trl-default", "trl-tuned"].map((variant) => {
    const script = path.join(import.meta.dirname, "train/peer.py")
    const args = [script, variant, folder, path.join(folder, "pairs.json"), String(steps), String(batchSize)]
    try {
      const output = execFileSync(flags.python!, cuda ? [...args, "cuda"] : args, {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        maxBuffer: 2 ** 26
      })
      const found = JSON.parse(output.trim().split("\n").at(-1)!) as { readonly seconds: ReadonlyArray<number> }
      const timed = found.seconds.slice(1)
      return { pairsPerSecond: batchSize * timed.length / timed.reduce((a, b) => a + b, 0), found }
    } catch (error) {
      return { variant, failed: String((error as { stderr?: unknown }).stderr ?? error).slice(-500) }
    }
  })
  fs.rmSync(folder, { recursive: true, force: true })
  return { peers }
}

note({
  name: "machine",
  found: describe(),
  cpu: os.cpus()[0]?.model,
  node: process.version,
  date: new Date().toISOString()
})
for (const precision of ["float32", "bfloat16"] as const) {
  await part("against float64", () => agrees(precision, {}))
  await part("against float64, composed", () => agrees(precision, {}, { kernels: "none" }))
  await part(
    "against float64, a window",
    () => agrees(precision, { architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: 8 })
  )
}
await part("products and calls", parts)
await part("kernels", kernels)
for (const shape of flags.shapes.split(",")) {
  for (const data of Object.keys(lengths) as Array<keyof typeof lengths>) await part("train", () => trains(shape, data))
  await part("train, composed", () => trains(shape, "HH", { kernels: "none" }))
}
if (flags.out !== undefined) {
  const command = `node bench/gpu.ts --device ${device} --shapes ${flags.shapes} --steps ${flags.steps}`
  fs.writeFileSync(flags.out, `${JSON.stringify({ command, results }, undefined, 2)}\n`)
}
