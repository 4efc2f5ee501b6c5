// The file that a lane's thread runs: replicas with memory of their own.
import { parentPort, workerData } from "node:worker_threads"
import { type Lane, laneHere, type LaneReply, type LaneRequest } from "./lanes.ts"
import { sessions } from "./sessions.ts"

const port = parentPort!
const { threads } = workerData as { readonly threads: number }
const cache = sessions(threads)
const lanes = new Map<number, Lane>()

const open = ({ network, weights }: Extract<LaneRequest, { readonly verb: "open" }>): Lane => {
  let own = weights
  let gradients: Float32Array | undefined
  return laneHere(network, cache, {
    weights: () => own,
    gradients: () => gradients ??= new Float32Array(network.trainedLength),
    load: (fresh) => {
      own = fresh
    }
  })
}

const answer = async (request: LaneRequest): Promise<unknown> => {
  if (request.verb === "open") return void lanes.set(request.replica, open(request))
  const lane = lanes.get(request.replica)
  if (lane === undefined) throw new Error("the replica is closed")
  switch (request.verb) {
    case "score":
      return lane.score(request.batch)
    case "train":
      return lane.train(request.batch, request.pull)
    case "gradients":
      return lane.gradients()
    case "generate":
      return lane.generate(request.prompts, request.options)
    case "load":
      return lane.load(request.weights)
    case "close":
      lanes.delete(request.replica)
      return lane.close()
  }
}

const handle = async (request: LaneRequest): Promise<void> => {
  const { id } = request
  let reply: LaneReply
  try {
    reply = { id, answer: await answer(request) }
  } catch (error) {
    reply = { id, problem: error instanceof Error ? error.message : String(error) }
  }
  const buffers = "answer" in reply && ArrayBuffer.isView(reply.answer) ? [reply.answer.buffer as ArrayBuffer] : []
  port.postMessage(reply, buffers)
}
let last: Promise<void> = Promise.resolve()
port.on("message", (request: LaneRequest) => {
  const before = last
  last = (async () => {
    await before
    await handle(request)
  })()
})
