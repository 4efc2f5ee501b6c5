// Where the numbers come from: data read and dropped, recipe, steps.
import { bytes } from "../platform/bytes.ts"
import { details, numeric, row, table, text } from "./figure.ts"
import { count, grouped, list, seconds, setting } from "./format.ts"
import { type Html, html } from "./html.ts"
import type { DataRead, ReportData } from "./ReportData.ts"

type Reasons = ReadonlyArray<readonly [why: string, ids: ReadonlyArray<string>]>

const reasons = (dropped: DataRead["dropped"] = {}): Reasons =>
  Object.entries(dropped).filter(([, ids]) => ids.length > 0)

const partsTable = (parts: DataRead["parts"]): Html =>
  table(
    [...text("part"), ...numeric("pairs", "tokens"), ...text("cut or dropped")],
    parts.map((part) => {
      const cut = Object.entries(part.truncated ?? {}).filter(([, n]) => n > 0).map(([what, n]) =>
        `${grouped(n)} ${what}`
      )
      const gone = reasons(part.dropped).map(([why, ids]) => `${grouped(ids.length)} dropped: ${why}`)
      return row(
        part.name,
        grouped(part.pairs),
        part.tokens === undefined ? undefined : grouped(part.tokens),
        cut.length + gone.length === 0 ? undefined : cut.concat(gone).join("; ")
      )
    })
  )

const idsList = (all: Reasons): Html =>
  html`<dl class="ids">${
    all.map(([why, ids]) => html`<dt>${why} (${grouped(ids.length)})</dt><dd>${ids.join(", ")}</dd>`)
  }</dl>`

export const dataSection = ({ dropped, licence, notes, parts, read, source }: DataRead): Html => {
  const gone = reasons(dropped)
  const lost = gone.reduce((sum, [, ids]) => sum + ids.length, 0)
  const all = [
    ...gone,
    ...parts.flatMap((part) => reasons(part.dropped).map(([why, ids]) => [`${part.name}: ${why}`, ids] as const))
  ]
  const losses = lost === 0
    ? "none dropped"
    : `${grouped(lost)} dropped (${gone.map(([why, ids]) => `${why}: ${grouped(ids.length)}`).join("; ")})`
  return html`<p>${source}${licence !== undefined && ` (${licence})`}: ${count(read, "row")} read, ${losses}.${
    notes.map((note) => ` ${note}`)
  }</p>${parts.length > 0 && partsTable(parts)}${all.length > 0 && details("Rows dropped, by id", idsList(all))}`
}

/** What all runs share once; then what differs, one row per run. Undefined where nothing was trained. */
export const recipeSection = (data: ReportData): Html | undefined => {
  const recipes = data.runs.flatMap(({ label, recipe }) => (recipe === undefined ? [] : [{ label, recipe }]))
  const first = recipes[0]?.recipe
  if (first === undefined) return undefined
  const keys = [...new Set(recipes.flatMap(({ recipe }) => Object.keys(recipe)))]
  const differing = keys.filter((key) => new Set(recipes.map(({ recipe }) => recipe[key])).size > 1)
  const shared = keys.filter((key) => !differing.includes(key))
  const byRun = (): Html =>
    table(
      [...text("run"), ...numeric(...differing)],
      recipes.map(({ label, recipe }) =>
        row(label, differing.map((key) => (recipe[key] === undefined ? undefined : setting(recipe[key]))))
      ),
      "small"
    )
  return html`<dl class="facts">${
    shared.map((key) => html`<div><dt>${key}</dt><dd>${setting(first[key]!)}</dd></div>`)
  }</dl>${differing.length > 0 && details(`By run: ${list(differing)}`, byRun())}`
}

/** Up to here all rows are shown at once; beyond, a summary, and the rows on demand. */
const fewSteps = 16

/** How fast trainings ran and what they took; undefined where none was measured. */
export const speedSection = (steps: ReportData["steps"]): Html | undefined => {
  const measured = steps.flatMap(({ label, speed }) => (speed === undefined ? [] : [{ label, speed }]))
  if (measured.length === 0) return undefined
  const all = (): Html =>
    table(
      [...text("run"), ...numeric("completion tokens/s", "fed tokens/s", "MFU", "peak memory")],
      measured.map(({ label, speed: { fedPerSecond, mfu, peakBytes, tokensPerSecond } }) =>
        row(
          label,
          grouped(Math.round(tokensPerSecond)),
          grouped(Math.round(fedPerSecond)),
          mfu === undefined ? undefined : `${Math.round(100 * mfu)} %`,
          bytes(peakBytes)
        )
      ),
      "small"
    )
  const note =
    html`<p class="note">Of the machine that made each result. The peak is that of the device; on a CPU, of the whole process.</p>`
  return html`${measured.length <= fewSteps ? all() : details(`All ${count(measured.length, "run")}`, all())}${note}`
}

const everyStep = (steps: ReportData["steps"]): Html =>
  table(
    [...text("step", "kind", "verdict"), ...numeric("time"), ...text("digest")],
    steps.map(({ digest, kind, label, seconds: took, verdict }) =>
      row(label, kind, verdict, seconds(took), html`<code title="${digest}">${digest.slice(0, 12)}</code>`)
    ),
    "small"
  )

export const stepsSection = (steps: ReportData["steps"]): Html => {
  if (steps.length <= fewSteps) return everyStep(steps)
  const kinds = [...Map.groupBy(steps, ({ kind }) => kind)].map(([kind, all]) => {
    const verdicts = [...Map.groupBy(all, ({ verdict }) => verdict)]
      .map(([verdict, some]) => `${grouped(some.length)} ${verdict}`)
    return row(kind, grouped(all.length), verdicts.join(", "), seconds(all.reduce((sum, at) => sum + at.seconds, 0)))
  })
  return html`${table([...text("kind"), ...numeric("steps"), ...text("verdict"), ...numeric("time")], kinds, "small")}${
    details(`All ${count(steps.length, "step")}`, everyStep(steps))
  }`
}
