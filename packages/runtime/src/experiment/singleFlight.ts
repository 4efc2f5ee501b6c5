// Equal keys at the same time are one piece of work. It belongs to everybody who waits for it: when the last one is
// interrupted, so is the work, and that one waits for its finalisers.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

interface Flight<A, E> {
  readonly result: Deferred.Deferred<A, E>
  fiber: Fiber.Fiber<A, E> | undefined
  waiting: number
}

export interface SingleFlight<A, E> {
  readonly join: (key: string, work: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** Work runs in `scope`, not in the fiber that asked for it first, which may be interrupted while others still wait. */
export const singleFlight = <A, E>(scope: Scope.Scope): SingleFlight<A, E> => {
  const flights = new Map<string, Flight<A, E>>()
  const remove = (key: string, flight: Flight<A, E>): void => {
    if (flights.get(key) === flight) flights.delete(key)
  }
  const start = (key: string, flight: Flight<A, E>, work: Effect.Effect<A, E>): Effect.Effect<void> =>
    Effect.map(Effect.forkIn(Effect.interruptible(work), scope), (fiber) => {
      flight.fiber = fiber
      fiber.addObserver((exit) => {
        remove(key, flight)
        Deferred.doneUnsafe(flight.result, exit)
      })
    })
  const leave = (key: string, flight: Flight<A, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      flight.waiting--
      if (flight.waiting > 0 || flight.fiber === undefined) return Effect.void
      // Whoever asks from here on starts anew.
      remove(key, flight)
      return Fiber.interrupt(flight.fiber)
    })
  return {
    join: (key, work) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          // Looked up and entered without a pause, so that nobody comes between.
          const found = flights.get(key)
          const flight: Flight<A, E> = found ?? { result: Deferred.makeUnsafe(), fiber: undefined, waiting: 0 }
          flight.waiting++
          if (found === undefined) flights.set(key, flight)
          const wait = Effect.onExit(
            restore(Deferred.await(flight.result)),
            (exit) => Exit.isFailure(exit) && !Deferred.isDoneUnsafe(flight.result) ? leave(key, flight) : Effect.void
          )
          return found === undefined ? Effect.andThen(start(key, flight, work), wait) : wait
        })
      )
  }
}
