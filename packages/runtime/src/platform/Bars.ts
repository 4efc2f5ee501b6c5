// Progress for people: one bar per running step on a terminal, one line per finished step above them.
// Off a terminal: one JSON line per event. Both write to stderr, so that stdout stays a result.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { bytes } from "./bytes.ts"
import { duration } from "./duration.ts"
import { type Event, Progress } from "./Progress.ts"

export interface Bar {
  readonly label: string
  readonly since: number
  readonly done: number
  readonly total: number
  /** `done` when this process began: a resumed step starts in the middle, and its rate must not count what was there. */
  readonly first: number
  readonly unit: string
  readonly loss: number | undefined
  /** `14k tok/s  52 % MFU  41 GB`; empty before it is known. */
  readonly speed: string
}

const width = 24
/** Seconds below which a step is counted instead of named: a study has hundreds of them. */
const brief = 1
/** What a step does, without the result that it is for. */
const short = (label: string): string => label.slice(label.lastIndexOf("› ") + 1).trim()
const fit = (text: string, columns: number): string => text.length <= columns ? text : `${text.slice(0, columns - 1)}…`

/** One line: `train dpo  ████░░░░  12/48 steps  4.1/s  9 s left  loss 0.6921`. */
export const renderBar = (bar: Bar, now: number, columns: number): string => {
  const filled = bar.total === 0 ? 0 : Math.round(width * bar.done / bar.total)
  const seconds = (now - bar.since) / 1000
  const rate = seconds > 0.5 ? (bar.done - bar.first) / seconds : 0
  const parts = [`${"█".repeat(filled)}${"░".repeat(width - filled)}`]
  const [shown, unit] = bar.unit === "byte" ? [bytes, ""] : [String, ` ${bar.unit}s`]
  if (bar.total > 0) parts.push(`${shown(bar.done)}/${shown(bar.total)}${unit}`)
  else parts.push(duration(seconds))
  if (rate > 0 && bar.done < bar.total) {
    parts.push(
      `${bar.unit === "byte" ? bytes(rate) : rate < 100 ? rate.toFixed(1) : Math.round(rate)}/s`,
      `${duration((bar.total - bar.done) / rate)} left`
    )
  }
  if (bar.loss !== undefined) parts.push(`loss ${bar.loss.toFixed(4)}`)
  if (bar.speed !== "") parts.push(bar.speed)
  return fit(`  ${fit(short(bar.label), 36).padEnd(36)} ${parts.join("  ")}`, columns - 1)
}

const speedOf = (
  { mfu, peakBytes, tokensPerSecond }: Extract<Event, { readonly _tag: "StepProgress" }>
): string => {
  const parts: Array<string> = []
  if (tokensPerSecond !== undefined) {
    const thousands = tokensPerSecond / 1000
    parts.push(`${thousands < 1 ? Math.round(tokensPerSecond) : `${thousands.toFixed(thousands < 10 ? 1 : 0)}k`} tok/s`)
  }
  if (mfu !== undefined) parts.push(`${Math.round(100 * mfu)} % MFU`)
  if (peakBytes !== undefined) parts.push(bytes(peakBytes))
  return parts.join("  ")
}

/** What stays on the screen when an event is over; undefined for what only moves a bar. */
export const renderLine = (event: Event): string | undefined => {
  switch (event._tag) {
    case "StepFinished":
      return event.seconds < brief ? undefined : `✓ ${short(event.label).padEnd(38)} ${duration(event.seconds)}`
    case "StepFailed":
      return `✗ ${event.label}: ${event.message}`
    case "Warning":
      return `! ${event.label}: ${event.message}`
    case "Wrote":
      return `  ${event.what}: ${event.path}`
    case "StepHit":
    case "StepStarted":
    case "StepProgress":
    case "FileProgress":
      return undefined
  }
}

type Write = (text: string) => void

const bars = (write: Write, columns: () => number): Effect.Effect<Progress["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const running = new Map<string, Bar>()
    let drawn = 0
    let [hits, briefly] = [0, 0]
    const clear = (): string => (drawn > 0 ? `\x1b[${drawn}A\x1b[0J` : "")
    const draw = (now: number, lines: ReadonlyArray<string>): void => {
      const live = [...running.values()].filter(({ since }) => now - since > 300)
        .map((bar) => renderBar(bar, now, columns()))
      const text = [...lines, ...live].map((line) => `${line}\n`).join("")
      if (text !== "" || drawn > 0) write(clear() + text)
      drawn = live.length
    }
    const counted = (n: number, what: string): ReadonlyArray<string> =>
      n === 0 ? [] : [`${n} step${n === 1 ? "" : "s"} ${what}`]
    const flush = (): ReadonlyArray<string> => {
      const lines = [...counted(hits, "taken from the store"), ...counted(briefly, `of less than ${brief} s`)]
      ;[hits, briefly] = [0, 0]
      return lines.map((line) => `· ${line}`)
    }
    const redraw = Effect.map(Clock.currentTimeMillis, (now) => draw(now, []))
    yield* Effect.addFinalizer(() => Effect.map(Clock.currentTimeMillis, (now) => draw(now, [])))
    yield* Effect.forkScoped(Effect.repeat(redraw, Schedule.spaced("120 millis")))
    return Progress.of({
      emit: (event) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (event._tag === "StepHit") {
            hits++
            return
          }
          if (event._tag === "StepStarted") {
            running.set(event.label, {
              label: event.label,
              since: now,
              done: 0,
              total: 0,
              first: -1,
              unit: "step",
              loss: undefined,
              speed: ""
            })
          } else if (event._tag === "StepProgress") {
            const bar = running.get(event.label)
            if (bar === undefined) return
            const { done, total, unit, loss } = event
            const fresh = bar.first < 0 ? { first: done, since: now } : {}
            running.set(event.label, {
              ...bar,
              done,
              total,
              unit,
              loss: loss ?? bar.loss,
              speed: speedOf(event) || bar.speed,
              ...fresh
            })
            return
          } else if (event._tag === "FileProgress") {
            const { done, file, label, total } = event
            const key = `${label}\0${file}`
            if (done >= total) running.delete(key)
            else {
              const { first, since } = running.get(key) ?? { first: done, since: now }
              const bar = { label: file, since, done, total, first, unit: "byte", loss: undefined, speed: "" }
              running.set(key, bar)
            }
            return
          } else if (event._tag === "StepFinished" || event._tag === "StepFailed") {
            for (const key of running.keys()) {
              if (key === event.label || key.startsWith(`${event.label}\0`)) running.delete(key)
            }
          }
          if (event._tag === "StepFinished" && event.seconds < brief) briefly++
          const line = renderLine(event)
          draw(now, line === undefined ? [] : [...flush(), line])
        })
    })
  })

const lines = (write: Write): Progress["Service"] =>
  Progress.of({
    emit: (event) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const { _tag, ...rest } = event
        write(`${JSON.stringify({ time: new Date(now).toISOString(), event: _tag, ...rest })}\n`)
      })
  })

/** Bars when stderr is a terminal, JSON lines otherwise. */
export const layer: Layer.Layer<Progress> = Layer.effect(
  Progress,
  Effect.suspend(() => {
    const write: Write = (text) => void process.stderr.write(text)
    return process.stderr.isTTY ? bars(write, () => process.stderr.columns ?? 100) : Effect.succeed(lines(write))
  })
)
