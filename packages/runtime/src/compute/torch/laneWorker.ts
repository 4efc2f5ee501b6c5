// The file that a lane's thread runs: replicas on the libtorch of the process, which lends them weights and gradients.
import { parentPort, workerData } from "node:worker_threads"
import { answerLane } from "../lanes/thread.ts"
import { type Lane, type LaneData, laneOf, type LaneRequest } from "./lanes.ts"
import { replicaOf } from "./replica.ts"
import { torchIn } from "./start.ts"

const { installation, live } = workerData as LaneData
const torch = torchIn(installation, { kind: "cpu" }, live)
const lanes = new Map<number, Lane>()

answerLane<LaneRequest>(parentPort!, async (request) => {
  if (request.verb === "open") {
    lanes.set(request.replica, laneOf(replicaOf(torch, request.network), torch.native.setThreads))
    return
  }
  const lane = lanes.get(request.replica)
  if (lane === undefined) throw new Error("the replica is closed")
  if (request.verb === "close") lanes.delete(request.replica)
  return (lane[request.verb] as (...given: ReadonlyArray<unknown>) => Promise<unknown>)(...request.ask)
})
