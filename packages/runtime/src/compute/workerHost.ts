// The worker's side of an engine: takes requests one at a time, in order, and answers each by its id.
// An exception becomes a reply; only a worker that dies says nothing.
import { setImmediate } from "node:timers/promises"
import type { MessagePort } from "node:worker_threads"
import {
  type Backend,
  type BackendModule,
  type BackendSession,
  DeviceLost,
  type EngineOptions,
  NoRoom
} from "./Backend.ts"
import type { Hello, Reply, Request, Verb, Verbs } from "./protocol.ts"

const problemOf = (error: unknown): string => error instanceof Error ? error.message || error.name : String(error)

export const failure = (id: number, error: unknown): Reply => {
  const problem = problemOf(error)
  if (error instanceof NoRoom) return { id, problem, kind: "noRoom", room: error.room }
  return { id, problem, kind: error instanceof DeviceLost ? "lost" : "failed" }
}

/** Buffers of the typed arrays in an answer: they are handed over, not copied. */
export const buffersOf = (answer: unknown): ReadonlyArray<ArrayBuffer> => {
  const arrays = ArrayBuffer.isView(answer)
    ? [answer]
    : typeof answer === "object" && answer !== null
    ? Object.values(answer).filter((value) => ArrayBuffer.isView(value))
    : []
  return [...new Set(arrays.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer)
}

type Calls = {
  readonly [V in Exclude<Verb, "open">]: (session: BackendSession, ask: Verbs[V]["ask"]) => Promise<Verbs[V]["answer"]>
}

const calls: Calls = {
  score: (session, batch) => session.score(batch),
  forward: (session, { batch, options }) => session.forward(batch, options),
  backward: (session, coefficients) => session.backward(coefficients),
  fused: (session, { batch, inputs, options }) => {
    if (session.fused === undefined) throw new Error("this session has no fused loss")
    return session.fused(batch, inputs, options)
  },
  generate: (session, { options, prompts }) => session.generate(prompts, options),
  update: (session, update) => session.update(update),
  weights: (session) => session.weights(),
  optimiser: (session) => session.optimiser(),
  gradients: (session) => session.gradients(),
  zeroGradients: (session) => session.zeroGradients(),
  device: (session) => {
    if (session.device === undefined) throw new Error("this session knows nothing of its device")
    return session.device()
  },
  close: (session) => session.close()
}

/** Starts the engine and serves it on the port until it is asked to end. */
export const serve = async (
  load: () => Promise<BackendModule>,
  options: EngineOptions,
  port: MessagePort
): Promise<void> => {
  const hello = (message: Hello) => port.postMessage(message)
  let backend: Backend
  try {
    backend = await (await load()).start(options)
  } catch (error) {
    hello({ problem: problemOf(error) })
    return
  }
  const sessions = new Map<number, BackendSession>()
  /** Requests that have not begun and that somebody still waits for. */
  const queued = new Set<number>()
  let last: Promise<void> = Promise.resolve()

  const answer = async (request: Exclude<Request, { verb: "forget" | "end" }>): Promise<unknown> => {
    if (request.verb === "open") {
      const session = await backend.open(request.ask.model, request.ask.options)
      sessions.set(request.session, session)
      return { fused: session.fused !== undefined, device: session.device !== undefined }
    }
    const session = sessions.get(request.session)
    if (request.verb === "close") sessions.delete(request.session)
    // Closing what was never opened is nothing to do: its opening failed or was forgotten.
    if (session === undefined && request.verb === "close") return undefined
    if (session === undefined) throw new Error("the session is closed")
    const call = calls[request.verb] as (session: BackendSession, ask: unknown) => Promise<unknown>
    return call(session, request.ask)
  }
  const handle = async (request: Exclude<Request, { verb: "forget" }>): Promise<void> => {
    // Lets messages in that came meanwhile: one of them may say that this request is not wanted any more.
    await setImmediate()
    if (request.verb === "end") {
      for (const session of sessions.values()) await session.close().catch(() => {})
      await backend.close().catch(() => {})
      port.close()
      return
    }
    if (!queued.delete(request.id)) return
    let reply: Reply
    try {
      reply = { id: request.id, answer: await answer(request) }
    } catch (error) {
      reply = failure(request.id, error)
    }
    port.postMessage(reply, "answer" in reply ? buffersOf(reply.answer) : [])
  }
  port.on("message", (request: Request) => {
    if (request.verb === "forget") {
      queued.delete(request.id)
      return
    }
    if (request.verb !== "end") queued.add(request.id)
    last = last.then(() => handle(request))
  })
  hello({ numerics: backend.numerics, notices: backend.notices ?? [] })
}
