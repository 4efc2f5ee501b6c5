// How fast a training run goes and what it takes: for progress, reports and `--json`. Depends on the clock and the machine, so it
// is kept beside a result, never in it.
import type { ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type { TokenGroups } from "../compute/Batch.ts"
import type { DeviceState, Session } from "../compute/Engine.ts"
import { peakOf, trainingFlops } from "../compute/flops.ts"
import type { Planned } from "../compute/footprint.ts"
import { loadOf } from "../compute/load.ts"

export interface Speed {
  /** Completion tokens per second; padding never counted. */
  readonly tokensPerSecond: number
  /** All rows that went through the model: each prompt once. */
  readonly fedPerSecond: number
  /** Share of the device's known peak that the model's own operations take; absent for a device without one. */
  readonly mfu?: number
  /** Most that was held at once: on the device, or, on a CPU, by the whole process. */
  readonly peakBytes: number
}

export interface Step {
  readonly groups: Int32Array
  readonly tokens: number
  readonly fed: number
  readonly milliseconds: number
}

/** Adds up the steps of this process. `graphs` are absent for a model that is none. */
export const meter = (
  session: Session,
  /** What products run in. */
  compute: string,
  graphs: Planned | undefined,
  data: TokenGroups,
  sides: ReadonlyArray<string>
) => {
  const sums = { tokens: 0, fed: 0, flops: 0, milliseconds: 0 }
  const speedOf = (
    { fed, flops, milliseconds, tokens }: typeof sums,
    device: DeviceState | undefined
  ): Speed | undefined => {
    if (milliseconds <= 0) return undefined
    const perSecond = (count: number): number => 1000 * count / milliseconds
    const own = device?.kind === "cuda" ? device : undefined
    const peak = own === undefined || graphs === undefined ? undefined : peakOf(own.name, compute)
    return {
      tokensPerSecond: perSecond(tokens),
      fedPerSecond: perSecond(fed),
      ...(peak === undefined ? {} : { mfu: perSecond(flops) / peak }),
      peakBytes: own?.peakBytes ?? 1024 * process.resourceUsage().maxRSS
    }
  }
  const of = (counted: typeof sums): Effect.Effect<Speed | undefined, ComputeError> =>
    session.device === undefined
      ? Effect.sync(() => speedOf(counted, undefined))
      : Effect.map(session.device, (device) => speedOf(counted, device))
  let last = sums
  return {
    add: ({ groups, ...step }: Step): void => {
      const flops = graphs === undefined ? 0 : trainingFlops(graphs, loadOf(data, groups, sides))
      last = { ...step, flops }
      for (const name of ["tokens", "fed", "flops", "milliseconds"] as const) sums[name] += last[name]
    },
    /** Of the last step, and of all. */
    last: Effect.suspend(() => of(last)),
    all: Effect.suspend(() => of(sums))
  }
}
