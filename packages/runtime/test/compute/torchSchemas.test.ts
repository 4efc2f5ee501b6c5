// The operators that penchant brings: all that the engine calls, and as the installed torch declares them.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { bundledFor, bundledSchemas } from "../../src/compute/torch/bundledSchemas.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import { schemasIn } from "../../src/compute/torch/schemas.ts"

const folder = new URL("../../src/compute/torch/", import.meta.url)
const called = new Set(
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).flatMap((file) =>
    Array.from(
      fs.readFileSync(new URL(file, folder), "utf8").matchAll(/(?:call|all)\(\s*"([\w.]+)"/g),
      ([, name]) => name!
    )
  )
)
const found = discover()
const installed = "problem" in found || found.schemas === undefined
    || !bundledFor.some((known) => found.version.startsWith(`${known}.`))
  ? undefined
  : schemasIn(fs.readFileSync(found.schemas, "utf8"))

describe("bundled schemas", () => {
  it("hold every operator that a source file calls", () => {
    const bundled = schemasIn(bundledSchemas)
    assert.isAbove(called.size, 40)
    assert.deepStrictEqual([...called].filter((name) => bundled(name) === undefined), [])
    const names = Array.from(bundledSchemas.matchAll(/^- func: ([\w.]+)/gm), ([, name]) => name!)
    assert.deepStrictEqual(names.filter((name) => !called.has(name)), [])
  })

  it.skipIf(installed === undefined)("are what the installed torch declares", () => {
    const bundled = schemasIn(bundledSchemas)
    for (const name of called) assert.deepStrictEqual(bundled(name), installed!(name), name)
  })
})
