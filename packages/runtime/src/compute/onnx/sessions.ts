// onnxruntime sessions, created when first needed and kept for every model of the same shape, least recently used last.
// Each keeps an arena as large as its largest run, hence the limit.
import { InferenceSession } from "onnxruntime-node"
import type { Model } from "./Program.ts"

export interface Loaded<M extends Model> {
  readonly model: M
  readonly session: InferenceSession
}

export interface Sessions {
  readonly load: <M extends Model>(key: string, make: () => M) => Promise<Loaded<M>>
  readonly close: () => Promise<void>
}

/** One network at one objective uses up to six: scoring and training at 1, 2 and 4 groups; generation four more. */
const limit = 12

/**
 * Memory patterns assume shapes that repeat, and batches never do. Optimisation buys nothing here and costs half of the
 * session's creation. Threads that spin while they wait lose a core to whoever else needs it: 3 times slower on a busy
 * machine, at most 4 % faster on an idle one.
 */
export const sessionOptions = (threads: number): InferenceSession.SessionOptions => ({
  executionProviders: ["cpu"],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: "sequential",
  graphOptimizationLevel: "disabled",
  enableMemPattern: false,
  extra: { session: { intra_op: { allow_spinning: "0" } } },
  logSeverityLevel: 3
})

export const sessions = (threads: number): Sessions => {
  const options = sessionOptions(threads)
  const open = new Map<string, Promise<Loaded<Model>>>()
  const create = async (model: Model): Promise<Loaded<Model>> => ({
    model,
    session: await InferenceSession.create(model.bytes, options)
  })
  return {
    load: async <M extends Model>(key: string, make: () => M) => {
      const loaded = open.get(key) ?? create(make())
      open.delete(key)
      open.set(key, loaded)
      for (const [oldest, dropped] of open) {
        if (open.size <= limit) break
        open.delete(oldest)
        await (await dropped).session.release()
      }
      return await loaded as Loaded<M>
    },
    close: async () => {
      for (const loaded of open.values()) await (await loaded).session.release()
      open.clear()
    }
  }
}
