// The reference engine against numbers that other implementations computed.
import { assert, describe, it } from "@effect/vitest"
import { pack } from "../../src/compute/Batch.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { modelOf, readJson, references, stories, thorough, tokenGroups } from "./fixtures.ts"

interface Scored {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
  readonly chosen: { readonly logps_f64: ReadonlyArray<number>; readonly logps_f32: ReadonlyArray<number> }
  readonly rejected: { readonly logps_f64: ReadonlyArray<number>; readonly logps_f32: ReadonlyArray<number> }
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  assert.strictEqual(a.length, b.length)
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}

describe("token log-probabilities", () => {
  it("stories260K on real pairs, packed: 1e-9 of an independent float64 forward", async () => {
    const pairs: ReadonlyArray<Scored> = readJson(new URL("logprobs.json", references)).pairs
    const backend = await start({})
    const session = await backend.open(modelOf(stories), {})
    const data = tokenGroups(pairs.map((p) => ({ prompt: p.prompt_ids, branches: [p.chosen_ids, p.rejected_ids] })))
    for (let at = 0; at < pairs.length; at += thorough ? 8 : 16) {
      const some = pairs.slice(at, at + 8)
      const got = await session.score(pack(data, some.map((_, i) => at + i)))
      assert.isBelow(largest(got, some.flatMap((p) => p.chosen.logps_f64.concat(p.rejected.logps_f64))), 1e-9)
      assert.isBelow(largest(got, some.flatMap((p) => p.chosen.logps_f32.concat(p.rejected.logps_f32))), 1e-4)
    }
  })

  it("a Llama with grouped queries, untied head and llama3 rope scaling: 5e-5 of transformers", async () => {
    const dir = new URL("models/llama/", references)
    const sequences: ReadonlyArray<{ readonly ids: ReadonlyArray<number>; readonly logps: ReadonlyArray<number> }> =
      readJson(new URL("expected.json", dir)).sequences
    const backend = await start({})
    const session = await backend.open(modelOf(dir), {})
    const data = tokenGroups(sequences.map(({ ids }) => ({ prompt: ids.slice(0, 1), branches: [ids.slice(1)] })))
    const got = await session.score(pack(data, sequences.map((_, i) => i)))
    assert.isBelow(largest(got, sequences.flatMap(({ logps }) => logps)), 5e-5)
  })
})
