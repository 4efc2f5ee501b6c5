// The file that a lane's thread runs: replicas with memory of their own.
import { parentPort, workerData } from "node:worker_threads"
import { answerLane } from "../lanes/thread.ts"
import { type Lane, laneHere, type LaneRequest } from "./lanes.ts"
import { sessions } from "./sessions.ts"

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

answerLane(parentPort!, answer)
