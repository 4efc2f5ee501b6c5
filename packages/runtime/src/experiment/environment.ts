// The machine a result was made on: recorded beside it, in no key.
import * as os from "node:os"

let known: Readonly<Record<string, unknown>> | undefined

export const environment = (): Readonly<Record<string, unknown>> =>
  known ??= {
    cpu: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    node: process.version,
    platform: process.platform,
    architecture: process.arch,
    system: os.release(),
    host: os.hostname()
  }
