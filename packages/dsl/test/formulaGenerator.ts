// Random well-formed formulas and batches from a seed, for the property tests.
import type { Inputs, SideInputs } from "@penchant/dsl/Evaluate"
import { apply, constant, join, type Node, type Side } from "../src/Node.ts"

/** mulberry32: uniform in [0, 1) */
export const random = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export const parameters = { beta: 0.3, gamma: 1.7 }

/** A value per row, within a few units of 0 so that nothing overflows. Arguments of log and divisors are positive. */
export const formula = (next: () => number, depth: number, smooth: boolean): Node => {
  const pick = <A>(of: ReadonlyArray<A>): A => of[Math.floor(next() * of.length)]!
  const side = (): Side => pick(["chosen", "rejected"])
  const row = (): Node => formula(next, depth - 1, smooth)
  const logProb = (of: Side): Node => ({ _tag: "LogProb", model: pick(["policy", "reference"]), side: of })
  const token = (of: Side): Node =>
    pick([
      () => logProb(of),
      () => join("Plus", logProb(of), apply("Negate", logProb(of))),
      () => join("Times", logProb(of), { _tag: "Parameter", name: "beta" }),
      () => apply("Exp", logProb(of)),
      () => join("Times", logProb(of), row()),
      () => join("Plus", row(), logProb(of))
    ])()
  const sum = (): Node => {
    const of = side()
    return join("Divide", apply("Sum", depth > 1 ? token(of) : logProb(of)), { _tag: "Length", side: of })
  }
  const positive = (): Node =>
    pick([
      () => join("Plus", constant(1), apply("Exp", row())),
      () => apply("Exp", row()),
      () => apply("Sigmoid", row()),
      () => join("Plus", apply("Exp", row()), apply("Exp", row())),
      () => join("Times", constant(0.5), join("Plus", apply("Sigmoid", row()), constant(0.25)))
    ])()
  const bounded = (): Node => apply("Sigmoid", row())
  const leaves: ReadonlyArray<() => Node> = [
    sum,
    sum,
    () => constant(pick([-2, -1, 0, 0.5, 1, 3])),
    () => ({ _tag: "Parameter", name: pick(["beta", "gamma"]) }),
    () => ({ _tag: "Column", name: "margin" })
  ]
  if (depth <= 1) return pick(leaves)()
  const kinks: ReadonlyArray<() => Node> = [
    () => apply("Step", row()),
    () => apply("Detach", row()),
    () => ({ _tag: "State", name: "mean", of: sum() })
  ]
  return pick<() => Node>([
    ...leaves,
    ...(smooth ? [] : kinks),
    () => join("Plus", row(), row()),
    () => join("Plus", row(), apply("Negate", row())),
    () => join("Times", row(), row()),
    () => join("Times", { _tag: "Parameter", name: "beta" }, join("Plus", row(), row())),
    () => join("Divide", row(), positive()),
    () => apply("Negate", row()),
    () => apply("Exp", apply("Negate", apply("Softplus", row()))),
    () => apply("Log", positive()),
    () => apply("Log", join("Divide", positive(), positive())),
    () => apply("LogSigmoid", row()),
    () => apply("Softplus", row()),
    () => apply("Sigmoid", row()),
    () => apply("Log1mExp", apply("Negate", join("Plus", bounded(), constant(0.1)))),
    () => apply("Relu", row()),
    () => join("Min", row(), row()),
    () => join("Max", row(), row()),
    () => apply("BatchMean", row()),
    () => {
      const of = row()
      return { _tag: "BatchSort", of, by: of }
    }
  ])()
}

export const batch = (next: () => number, rows = 3): Inputs => {
  const side = (): SideInputs => {
    const lengths = Int32Array.from({ length: rows }, () => 1 + Math.floor(next() * 4))
    const tokens = lengths.reduce((total, length) => total + length, 0)
    const logProbs = (): Float64Array => Float64Array.from({ length: tokens }, () => -0.05 - 2 * next())
    return { lengths, policy: logProbs(), reference: logProbs() }
  }
  return {
    rows,
    sides: { chosen: side(), rejected: side() },
    columns: { margin: Float64Array.from({ length: rows }, () => 2 * next() - 1) },
    state: { mean: { mean: -0.4, count: 5 } }
  }
}
