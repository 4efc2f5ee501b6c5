// A process that fetches one repository from a Hub into a cache, to be killed: `node fetchProcess.ts REPO`, settings from the
// environment, ranges of 4 KiB.
import * as Effect from "effect/Effect"
import { makeHub } from "../../src/hub/Hub.ts"
import { settingsOf } from "../../src/hub/Settings.ts"
import { fetchAll } from "./scene.ts"

const hub = makeHub({ ...settingsOf(process.env), rangeBytes: 4096 })
await Effect.runPromise(fetchAll(hub, process.argv[2] as `models/${string}`))
