// Training speed on the CPU against TRL: the same pairs, token ids, precision, threads and batch on every side, alternately
// in one run, our own on onnx and on torch. `node bench/train/main.ts [--python PATH] [--repeats 2] [--sizes 260K,5M,27M] [--out FILE]`.
// Sizes above 260K are random weights of real shapes, with lengths cut to what their vocabularies would make of the text.
// What a row is: pairs per second of whole optimiser steps, the first
// left out, the best of the repeats; peak resident memory of the process, Python or Node included.
import type { EngineName } from "@penchant/runtime/compute/backends"
import { encodeSafetensors, type Tensor } from "@penchant/runtime/data/safetensors"
import { architecture } from "@penchant/runtime/model/families"
import * as Result from "effect/Result"
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"

const root = path.resolve(import.meta.dirname, "../..")
const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    repeats: { type: "string", default: "2" },
    sizes: { type: "string", default: "260K,5M,27M" },
    out: { type: "string" }
  }
})

interface Size {
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly inner: number
  readonly vocabulary: number
  readonly batch: number
  readonly steps: number
  /** Tokens that its vocabulary would make per token of the 512-piece one: random weights see sequences of real lengths. */
  readonly density: number
}
const sizes: Readonly<Record<string, Size>> = {
  "260K": { width: 64, layers: 5, heads: 8, kvHeads: 4, inner: 172, vocabulary: 512, batch: 8, steps: 8, density: 1 },
  "5M": { width: 256, layers: 6, heads: 8, kvHeads: 4, inner: 688, vocabulary: 4096, batch: 8, steps: 6, density: 0.5 },
  "27M": {
    width: 512,
    layers: 8,
    heads: 8,
    kvHeads: 4,
    inner: 1376,
    vocabulary: 8192,
    batch: 8,
    steps: 4,
    density: 0.45
  }
}

const stories = path.join(root, "data/models/stories260K")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-bench-"))

/** Uniform, standard deviation 0.05; deterministic. */
const noise = (count: number, seed: number): Float32Array => {
  let state = seed >>> 0 || 1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 32 - 0.5) * 0.1732
  })
}

const modelOf = (name: string): string => {
  if (name === "260K") return stories
  const { heads, inner, kvHeads, layers, vocabulary, width } = sizes[name]!
  const at = path.join(folder, name)
  fs.cpSync(stories, at, { recursive: true })
  const config = {
    ...JSON.parse(fs.readFileSync(path.join(stories, "config.json"), "utf8")) as object,
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: width / heads,
    intermediate_size: inner,
    vocab_size: vocabulary
  }
  fs.writeFileSync(path.join(at, "config.json"), JSON.stringify(config))
  const tensors: Record<string, Tensor> = {}
  for (const [i, { name: tensor, shape }] of Result.getOrThrow(architecture(config)).tensors.entries()) {
    const count = shape.reduce((a, b) => a * b, 1)
    const data = shape.length === 1 ? new Float32Array(count).fill(1) : noise(count, i + 1)
    tensors[tensor] = { dtype: "F32", shape: [...shape], data }
  }
  fs.writeFileSync(path.join(at, "model.safetensors"), encodeSafetensors(tensors, { format: "pt" }))
  return at
}

interface Pair {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}
/** The 96 training pairs of the stored references: real HH-RLHF pairs of up to 512 tokens, in file order. */
const { training_pairs } = JSON.parse(
  fs.readFileSync(path.join(root, "packages/runtime/test/references/training.json"), "utf8")
) as { readonly training_pairs: ReadonlyArray<Pair> }

const pairsOf = (name: string): string => {
  const { density, vocabulary } = sizes[name]!
  const shorter = (ids: ReadonlyArray<number>): ReadonlyArray<number> =>
    density === 1
      ? ids
      : Array.from(
        { length: Math.max(2, Math.round(density * ids.length)) },
        (_, i) => (ids[i]! * 7919 + i) % vocabulary
      )
  const file = path.join(folder, `${name}.json`)
  const pairs = training_pairs.map(({ chosen_ids, prompt_ids, rejected_ids }) => ({
    prompt_ids: shorter(prompt_ids),
    chosen_ids: shorter(chosen_ids),
    rejected_ids: shorter(rejected_ids)
  }))
  fs.writeFileSync(file, JSON.stringify(pairs))
  return file
}

interface Measured {
  readonly pairsPerSecond: number
  readonly losses: ReadonlyArray<number>
  readonly peakMiB: number
  readonly note: string
}
const last = (output: string): string => output.trim().split("\n").at(-1)!
const quiet: ExecFileSyncOptionsWithStringEncoding = {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "pipe"],
  maxBuffer: 1 << 26
}

const ours = (engine: EngineName) => (model: string, pairsFile: string, { batch, steps }: Size): Measured => {
  const output = execFileSync(process.execPath, [
    path.join(import.meta.dirname, "ours.ts"),
    engine,
    model,
    pairsFile,
    String(steps),
    String(batch)
  ], { ...quiet, env: { ...process.env, LIBTORCH: libtorch } })
  const found = JSON.parse(last(output)) as Omit<Measured, "note"> & { readonly referenceSeconds: number }
  return { ...found, note: `reference scored in ${found.referenceSeconds.toFixed(1)} s` }
}
/** The torch engine drives the very libtorch that the peers run on. */
const libtorch = execFileSync(
  values.python,
  ["-c", "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"],
  quiet
).trim()
const peer = (variant: string) => (model: string, pairsFile: string, { batch, steps }: Size): Measured => {
  const output = execFileSync(
    values.python,
    [path.join(import.meta.dirname, "peer.py"), variant, model, pairsFile, String(steps), String(batch)],
    quiet
  )
  const found = JSON.parse(last(output)) as {
    readonly seconds: ReadonlyArray<number>
    readonly losses: ReadonlyArray<number>
    readonly peakMiB: number
    readonly flags: object
    readonly versions: object
  }
  const timed = found.seconds.slice(1)
  return {
    pairsPerSecond: batch * timed.length / timed.reduce((a, b) => a + b, 0),
    losses: found.losses,
    peakMiB: found.peakMiB,
    note: JSON.stringify({ ...found.flags, ...found.versions })
  }
}

const sides: Readonly<Record<string, (model: string, pairsFile: string, size: Size) => Measured>> = {
  penchant: ours("onnx"),
  "penchant torch": ours("torch"),
  "TRL default": peer("trl-default"),
  "TRL tuned": peer("trl-tuned"),
  "packed torch": peer("packed-torch")
}

const results: Array<object> = []
for (const name of values.sizes.split(",")) {
  const size = sizes[name]
  if (size === undefined) throw new Error(`no size "${name}": ${Object.keys(sizes).join(", ")}`)
  const model = modelOf(name)
  const pairsFile = pairsOf(name)
  const best = new Map<string, Measured>()
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    for (const [side, run] of Object.entries(sides)) {
      const measured = run(model, pairsFile, size)
      const before = best.get(side)
      if (before === undefined || measured.pairsPerSecond > before.pairsPerSecond) best.set(side, measured)
    }
  }
  const mine = best.get("penchant")!
  console.log(`\n${name}: batches of ${size.batch} pairs, ${size.steps} steps, float32, 2 threads`)
  for (const [side, { losses, note, pairsPerSecond, peakMiB }] of best) {
    const apart = Math.max(...losses.map((loss, i) => Math.abs(loss - mine.losses[i]!)))
    console.log(
      `  ${side.padEnd(14)} ${pairsPerSecond.toFixed(1).padStart(7)} pairs/s  ${
        (mine.pairsPerSecond / pairsPerSecond).toFixed(2).padStart(5)
      }x`
        + `  ${peakMiB.toFixed(0).padStart(5)} MiB  losses within ${apart.toExponential(1)}  ${note}`
    )
    results.push({
      size: name,
      side,
      pairsPerSecond,
      ratio: mine.pairsPerSecond / pairsPerSecond,
      peakMiB,
      lossDifference: apart,
      note
    })
  }
}
const machine = {
  cpu: os.cpus()[0]?.model,
  threads: os.availableParallelism(),
  node: process.version,
  date: new Date().toISOString()
}
if (values.out !== undefined) {
  fs.mkdirSync(path.dirname(values.out), { recursive: true })
  fs.writeFileSync(
    values.out,
    `${
      JSON.stringify(
        {
          command: `node bench/train/main.ts --python PYTHON --repeats ${values.repeats} --sizes ${values.sizes}`,
          machine,
          results
        },
        undefined,
        2
      )
    }\n`
  )
}
fs.rmSync(folder, { recursive: true, force: true })
