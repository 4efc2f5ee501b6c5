// Waiting that takes no time: what would have been slept is noted, so that tests can say how long a client would have waited.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export const fastClock = () => {
  /** Milliseconds. */
  const slept: Array<number> = []
  const provide = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.clockWith((clock) => {
      const sleep: Clock.Clock["sleep"] = (duration) => {
        slept.push(Duration.toMillis(duration))
        return clock.sleep(Duration.millis(1))
      }
      const fast: Clock.Clock = Object.assign(Object.create(clock), { sleep })
      return Effect.provideService(effect, Clock.Clock, fast)
    })
  return { slept, provide }
}
