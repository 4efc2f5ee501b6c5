// Forms of configs that people have, old and new, against what transformers computes for them (references/variants.py).
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { pack } from "../../src/compute/Batch.ts"
import { start as startOnnx } from "../../src/compute/onnx/backend.ts"
import { start as startReference } from "../../src/compute/reference/backend.ts"
import { architecture } from "../../src/model/families.ts"
import { readJson, references, tokenGroups } from "../compute/fixtures.ts"

interface Variant {
  readonly config: Readonly<Record<string, unknown>>
  readonly older: object
  readonly ids: ReadonlyArray<number>
  readonly logps: ReadonlyArray<number>
}

/** Uniform in [-0.5, 0.5) by a hash of 32 bits, as `values` of the script. */
const values = (name: string, count: number): Float64Array => {
  let seed = 0
  for (const letter of name) seed = (Math.imul(seed, 31) + letter.charCodeAt(0)) >>> 0
  return Float64Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i, 2654435761) + seed
    for (let round = 0; round < 2; round++) x = Math.imul(x ^ (x >>> 16), 0x45d9f3b)
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5
  })
}

const modelOf = (config: Variant["config"]) => {
  const { tensors } = Result.getOrThrow(architecture(config))
  const parts = tensors.map(({ name, shape }) => {
    const norm = shape.length === 1 && name.endsWith("weight") && !String(config["model_type"]).startsWith("gemma")
    const size = shape.length > 1 ? 0.6 : 0.3
    return values(name, shape.reduce((a, b) => a * b, 1)).map((x) => (norm ? 1 : 0) + size * x)
  })
  const parameters = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    parameters.set(part, at)
    at += part.length
  }
  return { config, names: tensors.map(({ name }) => name), shapes: tensors.map(({ shape }) => shape), parameters }
}

const variants: Readonly<Record<string, Variant>> = readJson(new URL("variants.json", references))
const engines = { onnx: await startOnnx({ threads: 1 }), reference: await startReference({}) }

describe("5e-5 of transformers", () => {
  for (const [name, { config, ids, logps, older }] of Object.entries(variants)) {
    it(`${name}, onnx and reference`, async () => {
      const model = modelOf(config)
      const batch = pack(tokenGroups([{ prompt: ids.slice(0, 1), branches: [ids.slice(1)] }]), [0])
      for (const backend of Object.values(engines)) {
        const session = await backend.open(model, {})
        const got = await session.score(batch)
        assert.isBelow(Math.max(...got.map((x, i) => Math.abs(x - logps[i]!))), 5e-5)
        await session.close()
      }
      const graph = (of: object) => JSON.stringify(Result.getOrThrow(architecture(of)).forward().graph)
      assert.strictEqual(graph(older), graph(config))
    })
  }
})
