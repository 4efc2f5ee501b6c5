// Every engine that runs here, side by side: pairs per second of whole DPO steps (forward, loss coefficients, backward, AdamW)
// on 8 real pairs, for three sizes of Llama. Engines take turns, each turn in a process of its own, so that what else the
// machine does falls on all alike; the best step of all turns counts.
// node bench/engines.ts [260K|5.4M|27M ...] [--rounds N]
// LIBTORCH names a PyTorch; a tfjs binding is looked for in the working directory too.
import type { Formula, Need } from "@penchant/dsl/Formula"
import { simplify } from "@penchant/dsl/Simplify"
import { dpo } from "@penchant/objectives"
import { backends, type EngineName } from "@penchant/runtime/compute/backends"
import { pack } from "@penchant/runtime/compute/Batch"
import { numericsOf } from "@penchant/runtime/compute/numerics"
import { choose } from "@penchant/runtime/compute/tfjs/choice"
import { discover } from "@penchant/runtime/compute/torch/discovery"
import { spawnSync } from "node:child_process"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { dataOf, modelOf, sizes } from "./models.ts"

interface Contestant {
  readonly engine: EngineName
  /** Of tfjs. */
  readonly backend?: string
}
interface Turn {
  /** Milliseconds of each step but the first; of processor time, the least of a step. */
  readonly steps: ReadonlyArray<number>
  readonly processor: number
  readonly megabytes: number
}

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "3" }, turn: { type: "string" } }
})

/** Milliseconds of a turn, after three steps. */
const patience = 6000

const objective = dpo({ beta: 0.1 })
const fused = {
  formula: simplify((objective.loss as Formula<Need>).node),
  parameters: objective.parameters,
  sides: ["chosen", "rejected"]
}
const update = { learningRate: 1e-9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }

const turn = async ({ engine, ...options }: Contestant, size: string): Promise<Turn> => {
  const { config, steps } = sizes[size]!
  const backend = await (await backends[engine]()).start({ threads: os.availableParallelism(), ...options })
  const session = await backend.open(modelOf(size, config), { fused })
  const data = dataOf(sizes[size]!)
  const batch = pack(data, data.ids.map(Number))
  const reference = new Float64Array(batch.targets.length).fill(-2)
  const coefficients = Float64Array.from(batch.targets, (_, n) => n % 2 === 0 ? 0.01 : -0.01)
  const times: Array<number> = []
  const processor: Array<number> = []
  const started = performance.now()
  for (let i = 0; i < steps && (i < 3 || performance.now() - started < patience); i++) {
    const [begun, used] = [performance.now(), process.cpuUsage()]
    if (session.fused !== undefined) await session.fused(batch, { reference, columns: {}, scale: 1 / 8 })
    else {
      await session.forward(batch)
      await session.backward(coefficients)
    }
    await session.update(update)
    times.push(performance.now() - begun)
    const { system, user } = process.cpuUsage(used)
    processor.push((system + user) / 1000)
  }
  const megabytes = process.resourceUsage().maxRSS / 1024
  await session.close()
  await backend.close()
  return { steps: times.slice(1), processor: Math.min(...processor.slice(1)), megabytes }
}

/** What runs here, and why the rest does not. */
const contestants = (): ReadonlyArray<Contestant> => {
  const found: Array<Contestant> = [{ engine: "onnx" }]
  const torch = discover()
  if ("problem" in torch) console.log(`torch is left out: ${torch.problem}`)
  else found.push({ engine: "torch" })
  for (const backend of ["wasm", "node", "node-gpu"]) {
    const choice = choose(backend)
    if ("problem" in choice) console.log(`tfjs ${backend} is left out: ${choice.problem}`)
    else found.push({ engine: "tfjs", backend })
  }
  return found
}

const main = (): void => {
  console.log(`${os.cpus()[0]?.model.trim()}, ${os.availableParallelism()} threads, Node ${process.versions.node}`)
  const all = contestants()
  for (const size of positionals.length > 0 ? positionals : Object.keys(sizes)) {
    const turns = all.map((): Array<Turn> => [])
    for (let round = 0; round < Number(flags.rounds); round++) {
      for (const [i, each] of all.entries()) {
        const args = [fileURLToPath(import.meta.url), size, "--turn", JSON.stringify(each)]
        const { stderr, stdout } = spawnSync(process.execPath, args, {
          encoding: "utf8",
          env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3" }
        })
        const line = stdout.trim().split("\n").at(-1)
        if (line === undefined || line === "") throw new Error(stderr)
        turns[i]!.push(JSON.parse(line) as Turn)
      }
    }
    for (const [i, { backend, engine }] of all.entries()) {
      const best = Math.min(...turns[i]!.flatMap(({ steps }) => steps))
      const processor = Math.min(...turns[i]!.map((each) => each.processor))
      const megabytes = Math.max(...turns[i]!.map((each) => each.megabytes))
      console.log(
        `${size.padEnd(5)} ${engine.padEnd(6)} ${(8000 / best).toFixed(1).padStart(7)} pairs/s  ${
          best.toFixed(0).padStart(6)
        } ms  processor ${processor.toFixed(0).padStart(6)} ms  ${megabytes.toFixed(0).padStart(5)} MiB  ${
          numericsOf(engine, { backend }).version
        }`
      )
    }
  }
}

if (flags.turn === undefined) main()
else console.log(JSON.stringify(await turn(JSON.parse(flags.turn) as Contestant, positionals[0]!)))
