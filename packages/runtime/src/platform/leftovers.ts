// What is written beside its place before it is renamed there, and what a killed process left of that.
import * as fs from "node:fs"
import * as path from "node:path"

const mark = ".part-"

/** Where this process writes what will be at `at`. */
export const partOf = (at: string): string => `${at}${mark}${process.pid}`

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Removes the parts of processes that are gone. */
export const removeLeftovers = (at: string): void => {
  const [folder, prefix] = [path.dirname(at), `${path.basename(at)}${mark}`]
  for (const name of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
    const pid = name.startsWith(prefix) ? name.slice(prefix.length) : ""
    if (/^\d+$/.test(pid) && !isRunning(Number(pid))) {
      fs.rmSync(path.join(folder, name), { recursive: true, force: true })
    }
  }
}
