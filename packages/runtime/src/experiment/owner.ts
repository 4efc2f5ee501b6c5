// Who holds a lease, precisely enough to know that the holder is gone: a pid alone is reused, so is a boot.
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"

export interface Owner {
  /** Machine, boot and pid namespace: within one place a pid and its start time are exact. */
  readonly place: string
  readonly pid: number
  /** When the process started, in the system's own words. */
  readonly begun: string
}

const read = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const ask = (command: string, parameters: ReadonlyArray<string>): string => {
  try {
    return execFileSync(command, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return ""
  }
}

const namespace = (): string => {
  try {
    return fs.readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
}

const boot = (): string =>
  read("/proc/sys/kernel/random/boot_id")?.trim() ??
    (process.platform === "win32" ? "" : ask("sysctl", ["-n", "kern.boottime"]))

/** Undefined when no such process runs; a zombie does not. */
const begunOf = (pid: number): string | undefined => {
  if (process.platform === "linux") {
    const stat = read(`/proc/${pid}/stat`)
    if (stat === undefined) return undefined
    // The command's name may hold blanks and parentheses; fields count from behind it: state is the first, start the 20th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19]
  }
  if (process.platform !== "win32") return ask("ps", ["-o", "lstart=", "-p", `${pid}`]) || undefined
  try {
    process.kill(pid, 0)
    return ""
  } catch {
    return undefined
  }
}

let known: Owner | undefined

/** This process. */
export const self = (): Owner =>
  known ??= {
    place: `${os.hostname()} ${boot()} ${namespace()}`,
    pid: process.pid,
    begun: begunOf(process.pid) ?? ""
  }

/** Elsewhere (another machine on a shared disk, another container) only a heartbeat tells; this many ms without one is death. */
export const silence = 30_000

/** Whether the owner still runs. In the same place a stopped or busy process is alive however long it is silent. */
export const isAlive = (owner: Owner, heartbeat: number, now: number, here: Owner = self()): boolean =>
  owner.place === here.place ? begunOf(owner.pid) === owner.begun : now - heartbeat < silence
