// Where the judge is, and the key to it: from the environment of the process.
import * as Context from "effect/Context"
import * as Redacted from "effect/Redacted"

export interface JudgeSettings {
  /** No slash at its end. */
  readonly url: string
  readonly key: Redacted.Redacted | undefined
}

export const openai = "https://api.openai.com/v1"

/** Empty variables count as unset. */
export const settingsOf = (environment: Readonly<Record<string, string | undefined>>): JudgeSettings => {
  const get = (...names: ReadonlyArray<string>): string | undefined =>
    names.map((name) => environment[name]?.trim()).find((value) => value !== undefined && value !== "")
  const key = get("PENCHANT_JUDGE_KEY", "OPENAI_API_KEY")
  return {
    url: (get("PENCHANT_JUDGE_URL", "OPENAI_BASE_URL") ?? openai).replace(/\/+$/, ""),
    key: key === undefined ? undefined : Redacted.make(key, { label: "judge key" })
  }
}

export const CurrentJudge = Context.Reference<JudgeSettings>("@penchant/runtime/Judge", {
  defaultValue: () => settingsOf(process.env)
})
