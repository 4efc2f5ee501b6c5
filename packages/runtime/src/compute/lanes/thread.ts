// The thread of a lane: it answers requests one at a time, in their order, and errors keep what they say of the device.
import { type MessagePort, Worker } from "node:worker_threads"
import { DeviceLost, NoRoom } from "../Backend.ts"
import type { Reply } from "../protocol.ts"
import { buffersOf, failure } from "../workerHost.ts"

export interface LaneThread<Request> {
  /** Buffers in `transfer` are the thread's from then on. */
  readonly ask: (request: Request, transfer?: ReadonlyArray<ArrayBuffer>) => Promise<unknown>
  readonly close: () => Promise<void>
}

const errorOf = (reply: Extract<Reply, { readonly problem: string }>): Error => {
  if (reply.kind === "noRoom") return new NoRoom(reply.problem, reply.room)
  return reply.kind === "lost" ? new DeviceLost(reply.problem) : new Error(reply.problem)
}

export const laneThread = <Request>(file: URL, workerData: object): LaneThread<Request> => {
  const worker = new Worker(file, { workerData })
  const pending = new Map<
    number,
    { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void }
  >()
  let lost: Error | undefined
  let next = 0
  const lose = (error: Error): void => {
    lost ??= error
    for (const { reject } of pending.values()) reject(lost)
    pending.clear()
  }
  worker.on("error", lose)
  worker.on("exit", (code) => lose(new Error(`a lane's thread ended with code ${code}`)))
  worker.on("message", (reply: Reply) => {
    const asked = pending.get(reply.id)
    pending.delete(reply.id)
    if (pending.size === 0) worker.unref()
    if ("problem" in reply) asked?.reject(errorOf(reply))
    else asked?.resolve(reply.answer)
  })
  // A thread keeps the process while something waits for it, no longer.
  worker.unref()
  return {
    ask: (request, transfer = []) =>
      new Promise((resolve, reject) => {
        if (lost !== undefined) return reject(lost)
        const id = next++
        pending.set(id, { resolve, reject })
        worker.ref()
        worker.postMessage({ id, request }, transfer)
      }),
    close: async () => void await worker.terminate()
  }
}

/** The other end, in the thread. */
export const answerLane = <Request>(port: MessagePort, answer: (request: Request) => unknown): void => {
  const handle = async (id: number, request: Request): Promise<void> => {
    let reply: Reply
    try {
      reply = { id, answer: await answer(request) }
    } catch (error) {
      reply = failure(id, error)
    }
    port.postMessage(reply, "answer" in reply ? buffersOf(reply.answer) : [])
  }
  let last: Promise<void> = Promise.resolve()
  port.on("message", ({ id, request }: { readonly id: number; readonly request: Request }) => {
    const before = last
    last = (async () => {
      await before
      await handle(id, request)
    })()
  })
}
