// Runs steps by the table of implementations, in one directory and without keys: each step once, inputs first.
import { canonical, digest, sha256 } from "@penchant/dsl/Identity"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Input } from "../../src/steps/Implementation.ts"
import { implementations } from "../../src/steps/implementations.ts"

/** Finished steps by object, in `directory`. */
export const executor = (directory: string) => {
  const done = new Map<AnyStep, Input>()
  let count = 0
  const run = (step: AnyStep): ReturnType<typeof attempt> => Effect.suspend(() => attempt(step))
  const attempt = Effect.fnUntraced(
    function*(step: AnyStep): Effect.fn.Return<
      Input,
      { readonly _tag: string; readonly message: string },
      Effect.Services<ReturnType<(typeof implementations)["rows"]["run"]>>
    > {
      const known = done.get(step)
      if (known !== undefined) return known
      const inputs: Record<string, Input> = {}
      for (const [name, input] of Object.entries(step.inputs)) inputs[name] = yield* run(input)
      const home = path.join(directory, String(count++))
      const scratch = path.join(home, "scratch")
      fs.mkdirSync(scratch, { recursive: true })
      const implementation = implementations[step.kind as keyof typeof implementations]
      const output = yield* implementation.run({
        step,
        policy: step.policy,
        label: step.title,
        inputs,
        scratch,
        shared: path.join(directory, "shared"),
        actionKey: "",
        identity: {}
      })
      const files: Record<string, string> = {}
      const manifest: Record<string, string> = {}
      for (const [name, content] of Object.entries(output.files)) {
        const bytes = "path" in content ? fs.readFileSync(content.path) : content
        const at = path.join(home, sha256(bytes))
        fs.writeFileSync(at, bytes)
        files[name] = at
        manifest[name] = sha256(bytes)
      }
      canonical(output.meta)
      const finished = {
        digest: digest({ kind: output.kind, meta: output.meta, files: manifest }),
        kind: output.kind,
        meta: output.meta,
        files
      }
      done.set(step, finished)
      return finished
    }
  )
  return { run }
}
