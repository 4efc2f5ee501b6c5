// The metrics of every snapshot of a run as curves over its steps.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { json, metaOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { Numbers } from "./scores.ts"

const SnapshotMeta = Schema.Struct({ step: Schema.Int })

export const trajectory: Implementation = {
  computes: false,
  run: (job) =>
    Effect.sync(() => {
      // Inputs are named `index` for the weights and `index/metric` for what was measured of them.
      const indices = Object.keys(job.inputs).filter((name) => !name.includes("/")).map(Number).toSorted((a, b) =>
        a - b
      )
      const steps = indices.map((index) => metaOf(job.inputs[index]!, SnapshotMeta).step)
      const curves: Record<string, Array<number>> = {}
      for (const [name, input] of Object.entries(job.inputs)) {
        const [index, metric] = name.split("/")
        if (metric === undefined) continue
        for (const [column, value] of Object.entries(metaOf(input, Numbers))) {
          const curve = curves[column] ??= []
          curve[indices.indexOf(Number(index))] = value
        }
      }
      const meta = { steps, ...curves }
      return { kind: "Curve", meta, files: { "curve.json": json(meta) } }
    })
}
