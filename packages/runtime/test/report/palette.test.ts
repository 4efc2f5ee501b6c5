// Colours must stay apart for colour-blind readers, and be seen on their paper.
import { describe, expect, it } from "vitest"
import { dark, light } from "../../src/report/palette.ts"

type Triple = readonly [number, number, number]
type Matrix = readonly [Triple, Triple, Triple]
const times = (m: Matrix, [r, g, b]: Triple): Triple => m.map(([x, y, z]) => x * r + y * g + z * b) as unknown as Triple

/** Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB. */
const sights: Readonly<Record<string, Matrix>> = {
  full: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998]
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881]
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039]
  ]
}

const linear = (colour: string): Triple =>
  [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }) as unknown as Triple

/** Ottosson's OKLab: distances are about as large as they look. */
const oklab = (rgb: Triple): Triple => {
  const cones = times([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005]
  ], rgb.map((x) => Math.min(1, Math.max(0, x))) as unknown as Triple)
  return times([
    [0.2104542553, 0.793617785, -0.0040720468],
    [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766]
  ], cones.map(Math.cbrt) as unknown as Triple)
}

const luminance = ([r, g, b]: Triple): number => 0.2126 * r + 0.7152 * g + 0.0722 * b

describe.each([["light", light], ["dark", dark]] as const)("the palette in %s", (_, { colours, paper }) => {
  it.each(Object.keys(sights))("keeps its first six apart under %s sight", (sight) => {
    const seen = colours.slice(0, 6).map((colour) => oklab(times(sights[sight]!, linear(colour))))
    seen.forEach((a, i) =>
      seen.slice(0, i).forEach((b) => expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeGreaterThan(0.1))
    )
  })

  it("reaches 3:1 against its paper", () => {
    const ground = luminance(linear(paper))
    for (const colour of colours) {
      const [low, high] = [ground, luminance(linear(colour))].toSorted((a, b) => a - b)
      expect((high! + 0.05) / (low! + 0.05)).toBeGreaterThan(3)
    }
  })
})
