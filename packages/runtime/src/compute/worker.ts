// The file that an engine's worker thread runs.
import { parentPort, workerData } from "node:worker_threads"
import { backends, type EngineName } from "./backends.ts"
import type { WorkerData } from "./protocol.ts"
import { serve } from "./workerHost.ts"

const { engine, options } = workerData as WorkerData
await serve(backends[engine as EngineName], options, parentPort!)
