// An engine that misbehaves on purpose; the first token of a batch says how. Hosted by the same code as the real ones.
import { parentPort, workerData } from "node:worker_threads"
import { type BackendModule, type BackendSession, DeviceLost, NoRoom } from "../../src/compute/Backend.ts"
import type { Batch } from "../../src/compute/Batch.ts"
import { serve } from "../../src/compute/workerHost.ts"

const never = () => new Promise<never>(() => {})
const refuse = async () => {
  throw new Error("not in this engine")
}

/** Tokens of the batches that were scored, in order. */
const scored: Array<number> = []

const behaviours: Readonly<Record<number, (batch: Batch) => Promise<Float64Array>>> = {
  0: async (batch) => Float64Array.from(batch.tokens),
  // Dies as a native crash or a full heap would: without a word.
  1: async () => process.exit(7),
  2: async () => {
    throw new Error("a shape it did not expect")
  },
  // An exception outside any request.
  3: () => {
    setTimeout(() => {
      throw new Error("out of the blue")
    }, 1)
    return never()
  },
  // Blocks the thread for good.
  4: async () => {
    for (;;);
  },
  // Takes 200 ms.
  5: (batch) => new Promise((resolve) => setTimeout(() => resolve(Float64Array.from(batch.tokens)), 200)),
  6: async () => Float64Array.from(scored),
  7: async () => {
    throw new NoRoom("no block of this size", { askedBytes: 3e9, freeBytes: 1e6, totalBytes: 8e9 })
  },
  8: async () => {
    throw new DeviceLost("unspecified launch failure")
  }
}

const session: BackendSession = {
  score: (batch) => {
    scored.push(batch.tokens[0]!)
    return behaviours[batch.tokens[0]!]!(batch)
  },
  forward: refuse,
  backward: refuse,
  generate: refuse,
  update: refuse,
  weights: refuse,
  optimiser: refuse,
  gradients: refuse,
  zeroGradients: refuse,
  device: async () => ({
    name: "made up",
    kind: "cuda",
    totalBytes: 8e9,
    freeBytes: 1e6,
    peakBytes: 7e9,
    liveTensors: scored.length
  }),
  close: async () => {
    scored.push(-1)
  }
}
const backend: BackendModule = {
  start: async ({ device }) => {
    if (device === "missing") throw new Error("no such device")
    return {
      numerics: {
        engine: "faulty",
        version: "1",
        compute: "float64",
        loss: "host",
        determinism: "bitwise",
        groups: []
      },
      ...(device === "slow" ? { notices: ["the slow way"] } : {}),
      open: async () => session,
      close: async () => {}
    }
  }
}

await serve(async () => backend, workerData.options, parentPort!)
