// A folder that is there whole or not at all: its files are written beside it first.
import { BadModel, StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Exported } from "../model/exported.ts"
import { partOf, removeLeftovers } from "../platform/leftovers.ts"

/** Name -> bytes, or where to copy them from, or what writes them. */
export type Files = Readonly<Record<string, Exported[string] | Uint8Array>>

/** `dir` must not be there, or be empty. Returns the bytes written. */
export const placeFolder = (dir: string, files: Files): Effect.Effect<number, StoreError | BadModel> =>
  Effect.tryPromise({
    try: async () => {
      const part = partOf(dir)
      removeLeftovers(dir)
      await fs.mkdir(part, { recursive: true })
      try {
        let total = 0
        for (const [name, content] of Object.entries(files)) {
          const at = path.join(part, name)
          if (content instanceof Uint8Array) await fs.writeFile(at, content)
          else if ("write" in content) await content.write(at)
          else await fs.copyFile(content.path, at)
          await fs.chmod(at, 0o644)
          total += (await fs.stat(at)).size
        }
        await fs.rename(part, dir)
        return total
      } finally {
        await fs.rm(part, { recursive: true, force: true })
      }
    },
    catch: (error) =>
      error instanceof BadModel
        ? error
        : new StoreError({ path: dir, problem: error instanceof Error ? error.message : String(error) })
  })
