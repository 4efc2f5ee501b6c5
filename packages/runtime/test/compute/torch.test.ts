// The torch engine on the CPU, where a libtorch is installed: what every float32 engine must do, and what it frees.
import { assert, describe, it } from "@effect/vitest"
import { start as startOracle } from "../../src/compute/reference/backend.ts"
import { liveTensors, start } from "../../src/compute/torch/backend.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import { isLost, isOutOfMemory, TorchError } from "../../src/compute/torch/native.ts"
import { tinyLlama } from "./fixtures.ts"
import { batchOf, float32, float32Engine, groupsOf } from "./float32Engine.ts"

const found = discover()
const missing = "problem" in found ? found.problem : undefined
if (missing !== undefined) console.log(`SKIPPED: the tests of the torch engine: ${missing}`)

describe("errors of libtorch", () => {
  const kinds = (text: string) => {
    const error = new TorchError(text)
    return [isOutOfMemory(error), isLost(error)]
  }
  it("say whether there was no room, whether the device is gone, or neither", () => {
    assert.deepStrictEqual(kinds("mm: CUDA out of memory. Tried to allocate 2.00 GiB"), [true, false])
    assert.deepStrictEqual(kinds("mm: CUDA error: an illegal memory access was encountered"), [false, true])
    assert.deepStrictEqual(kinds("mm: CUDA error: unspecified launch failure"), [false, true])
    assert.deepStrictEqual(kinds("mm: CUDA error: no kernel image is available for execution on the device"), [
      false,
      false
    ])
    assert.deepStrictEqual(kinds("mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), [false, false])
  })
})

describe.skipIf(missing !== undefined)("torch", async () => {
  const backend = missing === undefined ? await start({ threads: 1 }) : await startOracle({})
  float32Engine(backend)

  describe("ownership", () => {
    it("keeps no tensor once a session is closed, whatever it did", async () => {
      const before = liveTensors()
      const session = await backend.open(float32(tinyLlama(3)), {})
      const batch = batchOf(groupsOf(3, 9))
      await session.forward(batch)
      await session.backward(Float64Array.from(batch.targets, () => 1))
      await session.forward(batch)
      await session.score(batch)
      await session.forward(batch)
      const wrong = { ...batch, targets: batch.targets.map(() => 10_000) }
      const refused = await session.score(wrong).then(() => "scored", String)
      assert.match(refused, /token 10000 is outside the vocabulary of 23/)
      await session.close()
      assert.strictEqual(liveTensors(), before)
    })
  })
})
