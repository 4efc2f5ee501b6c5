// How far each file has come, said a few times a second from callbacks of the download.
import * as Effect from "effect/Effect"
import type { Progress } from "../platform/Progress.ts"
import type { RemoteFile } from "./repository.ts"

/** Milliseconds between two events of one file. */
const spacing = 250

export const progressOf = Effect.fnUntraced(function*(emit: Progress["Service"]["emit"], label: string) {
  const run = Effect.runForkWith(yield* Effect.context())
  const shown = new Map<string, number>()
  return ({ path: file, size: total }: RemoteFile, done: number): void => {
    const now = performance.now()
    if (done < total && now - (shown.get(file) ?? -Infinity) < spacing) return
    shown.set(file, now)
    run(emit({ _tag: "FileProgress", label, file, done, total }))
  }
})
