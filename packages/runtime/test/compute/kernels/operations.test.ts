// Every kernel that is an operation of the graph: its own source, run on the CPU through the engine's launches, against the
// float64 oracle and against the composition that it stands for, in both precisions and on awkward shapes.
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import type { Node, OperationName } from "../../../src/compute/Graph.ts"
import { kernels as oracles } from "../../../src/compute/operations/kernels.ts"
import { floats as exact, ints as exactInts, type Tensor as Exact } from "../../../src/compute/reference/Tensor.ts"
import { discover, type Installation } from "../../../src/compute/torch/discovery.ts"
import { fused } from "../../../src/compute/torch/kernels/lowerings.ts"
import { type Context, cotangent, floats, ints, type Tensor } from "../../../src/compute/torch/Lowering.ts"
import { lowerIn, narrowed } from "../../../src/compute/torch/precision.ts"
import type { Torch } from "../../../src/compute/torch/Torch.ts"
import { random } from "../fixtures.ts"
import { compileHost, noCompiler, torches } from "./host.ts"

const found = discover()
const missing = "problem" in found ? found.problem : noCompiler
if (missing !== undefined) console.log(`SKIPPED: kernels on the CPU: ${missing}`)

type Precision = "float32" | "bfloat16"

describe.skipIf(missing !== undefined)("kernels", () => {
  const { folder, library } = missing === undefined ? compileHost() : { folder: "", library: "" }
  const both = missing === undefined ? torches(found as Installation, library) : undefined
  afterAll(() => {
    both?.launcher.close()
    assert.strictEqual(both?.loaded() ?? 0, 0)
    assert.strictEqual(both?.native.live() ?? 0, 0)
    fs.rmSync(folder, { recursive: true, force: true })
  })

  const sizeOf = (shape: ReadonlyArray<number>) => shape.reduce((a, b) => a * b, 1)
  const next = random(11)
  interface Given {
    readonly shape: ReadonlyArray<number>
    /** Tables and statistics stay in float32. */
    readonly wide?: boolean
    readonly ints?: Int32Array
    readonly values?: (i: number) => number
  }
  type Inputs = Readonly<Record<string, Given>>

  /** Values that the element type has, so that inputs are the same for all. */
  const elements = (inputs: Inputs, precision: Precision) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, { ints, shape, values = () => 4 * next() - 2, wide = false }]) => {
        if (ints !== undefined) return [name, exactInts(ints)]
        const tensor = exact(shape)
        const single = Float32Array.from(tensor.data, (_, i) => values(i))
        const bits = new Int32Array(single.buffer)
        if (precision === "bfloat16" && !wide) bits.forEach((each, i) => (bits[i] = each & 0xffff0000))
        tensor.data.set(single)
        return [name, tensor]
      })
    ) as Readonly<Record<string, Exact>>

  const contextOf = (torch: Torch, spare: Context["spare"]): Context => ({
    torch,
    sizes: {} as Context["sizes"],
    index: (elements) => torch.uploadIndex(elements),
    once: (_, __, make) => make(),
    causal: () => assert.fail("no mask is wanted"),
    spare,
    into: undefined
  })

  /** Runs one operation and gives its outputs back as numbers. `spare`: its inputs may be written over. */
  const run = (
    torch: Torch,
    precision: Precision,
    operation: OperationName,
    attributes: object,
    inputs: Inputs,
    values: Readonly<Record<string, Exact>>,
    spare: boolean
  ): Readonly<Record<string, Float32Array>> =>
    torch.scope(() => {
      const narrow = precision === "bfloat16" ? narrowed(torch) : torch
      const { bfloat16, float32 } = torch.native.dtypes
      const tensors = Object.fromEntries(
        Object.entries(values).map(([name, { data, ints: given, shape }]): readonly [string, Tensor] => {
          if (inputs[name]?.ints !== undefined) return [name, ints(given)]
          const type = precision === "float32" || inputs[name]?.wide === true ? float32 : bfloat16
          const uploaded = torch.cast(torch.upload(Float64Array.from(data), shape), type)
          return [
            name,
            operation.startsWith("token") && name === "cotangent"
              ? cotangent(uploaded, Float64Array.from(data))
              : floats(uploaded, shape)
          ]
        })
      )
      const made = lowerIn(torch, narrow)({ operation, attributes } as Node, tensors, contextOf(torch, () => spare))
      return Object.fromEntries(
        Object.entries(made).map(([name, { handles, shape }]) => [name, torch.download(handles[0]!, sizeOf(shape))])
      )
    })

  /** Rounding to the element type, float32's own, and what lies below its smallest normal number. */
  const tolerance = (precision: Precision, expected: number, scale: number) =>
    (precision === "bfloat16" ? 2 ** -8 * Math.abs(expected) : 0) + 4e-6 * scale + 2 ** -126

  const near = (
    where: string,
    got: ArrayLike<number>,
    expected: ArrayLike<number>,
    allowed: (expected: number) => number
  ) => {
    for (let i = 0; i < expected.length; i++) {
      // written so that NaN does not pass
      if (!(Math.abs(got[i]! - expected[i]!) <= allowed(expected[i]!))) {
        assert.closeTo(got[i]!, expected[i]!, allowed(expected[i]!), `${where} [${i}]`)
        assert.fail(`${where} [${i}] is ${got[i]}`)
      }
    }
  }

  /** How many numbers were compared. */
  const compared = (
    operation: OperationName & keyof typeof fused,
    attributes: object,
    inputs: Inputs,
    wideOutputs: ReadonlyArray<string> = []
  ): number => {
    let count = 0
    for (const precision of ["float32", "bfloat16"] as const) {
      const values = elements(inputs, precision)
      const oracle = oracles[operation] as unknown as (
        inputs: object,
        attributes: object
      ) => Readonly<Record<string, Exact>>
      const expected = oracle(values, attributes)
      const before = both!.launches()
      const got = run(both!.kernels, precision, operation, attributes, inputs, values, false)
      const inPlace = run(both!.kernels, precision, operation, attributes, inputs, values, true)
      const empty = Object.values(inputs)[0]!.shape[0] === 0
      assert.strictEqual(both!.launches() - before, empty ? 0 : 2, "two launches")
      const composed = run(both!.composed, precision, operation, attributes, inputs, values, false)
      assert.strictEqual(both!.launches() - before, empty ? 0 : 2, "no launch")
      assert.deepStrictEqual(inPlace, got)
      for (const [name, { data }] of Object.entries(expected)) {
        const scale = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
        const width = wideOutputs.includes(name) ? "float32" : precision
        assert.strictEqual(got[name]!.length, data.length)
        count += data.length
        const where = `${operation} ${JSON.stringify(attributes)} ${precision} ${name} ${inputs["x"]?.shape}`
        near(where, got[name]!, data, (value) => tolerance(width, value, scale))
        // a composition rounds more than once
        near(`${where}, composed`, composed[name]!, data, (value) => 3 * tolerance(width, value, scale))
      }
    }
    return count
  }

  type Case = readonly [attributes: object, inputs: Inputs, wideOutputs?: ReadonlyArray<string>]

  // one row, widths below, at and off multiples of four and of a block, no row
  const vectors = [[1, 1, 1], [1, 1, 130], [3, 2, 4], [2, 1, 516], [5, 3, 37], [2, 1, 2051], [0, 1, 8]] as const
  const heads = [[1, 1, 2, 2], [5, 3, 12, 12], [4, 2, 10, 6], [3, 70, 8, 8], [0, 1, 4, 4]] as const
  const shapes = [[1, 1], [1, 7], [3, 5], [9, 131], [2, 1024], [0, 4]] as const
  // -100 and 100 are where exp(-x) leaves float32 or vanishes
  const wideRange = (i: number) => i % 7 === 0 ? 100 * Math.sign(next() - 0.5) : 8 * next() - 4

  const cases: Partial<Record<OperationName, () => ReadonlyArray<Case>>> = {
    rmsNorm: () =>
      vectors.flatMap(([rows, n, width]) =>
        [undefined, 1].map((offset): Case => [
          { epsilon: 1e-5, offset },
          { x: { shape: [rows, n * width] }, weight: { shape: [width] } },
          ["inverse"]
        ])
      ),
    // the last has more vectors than blocks, and warps that may overtake each other
    rmsNormBackward: () =>
      [...vectors, [531, 1, 132] as const].flatMap(([rows, n, width]) =>
        [undefined, 1].map((offset): Case => [
          { offset },
          {
            cotangent: { shape: [rows, n * width] },
            x: { shape: [rows, n * width] },
            weight: { shape: [width] },
            inverse: { shape: [rows, n], wide: true, values: () => 0.5 + next() }
          },
          ["weight"]
        ])
      ),
    rope: () =>
      heads.flatMap(([rows, n, headDim, dims]) =>
        ["half", "interleaved"].flatMap((style) =>
          [false, true].map((inverse): Case => [
            { headDim, dims, style, inverse },
            {
              x: { shape: [rows, n * headDim] },
              positions: { shape: [rows], ints: Int32Array.from({ length: rows }, () => Math.floor(9 * next())) },
              cos: { shape: [9, dims / 2], wide: true },
              sin: { shape: [9, dims / 2], wide: true }
            }
          ])
        )
      ),
    swiglu: () => shapes.map((shape) => [{}, { gate: { shape, values: wideRange }, up: { shape } }]),
    swigluBackward: () =>
      shapes.map((shape) => [{}, { cotangent: { shape }, gate: { shape, values: wideRange }, up: { shape } }])
  }

  for (const [operation, of] of Object.entries(cases)) {
    it(`${operation} is the oracle and its composition`, () => {
      const counts = of().map((each) => compared(operation as OperationName & keyof typeof fused, ...each))
      assert.isAbove(Math.max(...counts), 1000)
    })
  }

  it("write their outputs and nothing beside, wherever these begin", () => {
    const { kernels: torch, launcher } = both!
    for (const [size, from] of [[3, 0], [5, 4], [7, 1], [9, 2], [260, 3]] as const) {
      torch.scope(() => {
        const whole = () => torch.upload(Float32Array.from({ length: size + 8 }, () => 2 * next() - 1), [size + 8])
        const [gate, up, y] = [whole(), whole(), whole()]
        const before = torch.download(y, size + 8)
        const views = [gate, up, y].map((tensor) => torch.strided(tensor, [size], [1], from))
        launcher.launch("swiglu", ["float32"], { blocks: 1, threads: 96 }, [...views, size])
        const [g, u, after] = [gate, up, y].map((tensor) => torch.download(tensor, size + 8))
        const inside = (_: unknown, i: number) => i >= from && i < from + size
        const outside = (value: unknown, i: number) => !inside(value, i)
        assert.deepStrictEqual(after!.filter(outside), before.filter(outside))
        const expected = before.map((_, i) => g![i]! / (1 + Math.exp(-g![i]!)) * u![i]!).filter(inside)
        near(`${size} from ${from}`, after!.filter(inside), expected, () => 1e-6)
      })
    }
  })

  it("sum a weight's gradient in a part of its own for each block", () => {
    const { kernels: torch, launcher } = both!
    torch.scope(() => {
      const [c, x] = [Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(1, -1, 2, -2, 3, -3)]
      const [cotangent, xs] = [torch.upload(c, [3, 2]), torch.upload(x, [3, 2])]
      const [weight, inverse] = [
        torch.upload(Float32Array.of(1, 1), [2]),
        torch.upload(Float32Array.of(1, 0.5, 2), [3])
      ]
      const [dx, partial] = [torch.empty([3, 2]), torch.zeros([2, 2])]
      const args = [cotangent, xs, weight, inverse, undefined, dx, partial, 3, 2, 0]
      launcher.launch("rmsNormBackward", ["float32"], { blocks: 2, threads: 32 }, args)
      // the first block takes vectors 0 and 2: 1 * 1 + 5 * 3 * 2 and 2 * -1 + 6 * -3 * 2; the second 1: 3 * 2 / 2 and 4 * -2 / 2
      assert.deepStrictEqual([...torch.download(partial, 4)], [31, -38, 3, -4])
    })
  })

  it("are all here", () => {
    assert.sameMembers(Object.keys(cases), Object.keys(fused))
  })
})
