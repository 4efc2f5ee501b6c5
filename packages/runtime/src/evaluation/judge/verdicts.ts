// Verdicts that were paid for, by what was asked: a file each, so that a killed run loses none and pays for none twice.
import { StoreError } from "@penchant/dsl/Errors"
import { digest } from "@penchant/dsl/Identity"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { attempt } from "../../platform/problems.ts"

export const Verdict = Schema.Struct({
  /** What the judge answered; undefined where it refused or had nothing to say. */
  text: Schema.optionalKey(Schema.String),
  inputTokens: Schema.Int,
  outputTokens: Schema.Int
})
export type Verdict = typeof Verdict.Type

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Verdict))

/** In a directory that outlives steps. */
export const verdicts = (directory: string) => {
  const fileOf = (request: object): string => {
    const key = digest(request)
    return path.join(directory, "verdicts", key.slice(0, 2), `${key}.json`)
  }
  return {
    /** One that cannot be read is asked for again. */
    read: (request: object): Effect.Effect<Verdict | undefined, StoreError> =>
      attempt(directory, () => {
        const at = fileOf(request)
        if (!fs.existsSync(at)) return undefined
        const found = decode(fs.readFileSync(at, "utf8"))
        return Result.isSuccess(found) ? found.success : undefined
      }),
    write: (request: object, verdict: Verdict): Effect.Effect<void, StoreError> =>
      attempt(directory, () => {
        const at = fileOf(request)
        fs.mkdirSync(path.dirname(at), { recursive: true })
        const file = fs.openSync(`${at}.making`, "w")
        fs.writeFileSync(file, JSON.stringify(verdict))
        fs.fsyncSync(file)
        fs.closeSync(file)
        fs.renameSync(`${at}.making`, at)
      })
  }
}
