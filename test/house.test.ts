// The house rules that a machine can check: sizes, names, imports, dependencies.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const walk = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const at = path.posix.join(directory, entry.name)
    if (["node_modules", "dist", ".penchant"].includes(entry.name)) return []
    return entry.isDirectory() ? walk(at) : [at]
  })
const sources = ["packages", "pipelines", "bench", "test"].filter((d) => fs.existsSync(path.join(root, d)))
  .flatMap(walk).filter((file) => file.endsWith(".ts"))
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")
const inPackage = sources.filter((file) => /^packages\/\w+\/src\//.test(file))

/** What a file imports, type-only imports included. */
const specifiers = (file: string): ReadonlyArray<string> =>
  [...read(file).matchAll(/^(?:import|export)\b[^"'=;]*?\bfrom ["']([^"'\n]+)["']|^import ["']([^"'\n]+)["']/gm)]
    .map(([, from, bare]) => (from ?? bare)!)

describe("house", () => {
  it("keeps files under 400 lines", () => {
    assert.deepStrictEqual(sources.filter((file) => read(file).split("\n").length > 401), [])
  })

  it("has no file named after nothing", () => {
    const bad = /^(utils?|helpers?|common|misc|manager|base)\b/i
    assert.deepStrictEqual(sources.filter((file) => bad.test(path.basename(file))), [])
  })

  it("begins every source file with what it is", () => {
    assert.deepStrictEqual(inPackage.filter((file) => !/^(#!.*\n)?\/[/*]/.test(read(file))), [])
  })

  it("keeps the arrows: objectives -> dsl <- runtime; only the command line and conformance see objectives", () => {
    const allowed: Record<string, (file: string, specifier: string) => boolean> = {
      dsl: (_, s) => !s.startsWith("@penchant/") && !s.startsWith("@effect/"),
      objectives: (_, s) => !s.startsWith("@penchant/runtime") && !s.startsWith("@effect/"),
      runtime: (file, s) => !s.startsWith("@penchant/objectives") || /src\/(cli|evaluation)\//.test(file)
    }
    const wrong = inPackage.flatMap((file) => {
      const rule = allowed[file.split("/")[1]!]!
      return specifiers(file).filter((s) => !rule(file, s)).map((s) => `${file}: ${s}`)
    })
    assert.deepStrictEqual(wrong, [])
  })

  it("imports deep, with the extension, never a barrel of effect", () => {
    const wrong = inPackage.flatMap((file) =>
      specifiers(file).filter((s) =>
        s === "effect" || s === "@effect/platform-node" || s === "effect/cli" || s === "@penchant/dsl" ||
        (s.startsWith(".") && !/\.(ts|js|json|wasm)$/.test(s))
      ).map((s) => `${file}: ${s}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("depends on nothing but the list, at exact versions", () => {
    const known = new Set([
      "@effect/platform-node",
      "@huggingface/hub",
      "@huggingface/jinja",
      "@huggingface/tokenizers",
      "@observablehq/plot",
      "@penchant/dsl",
      "@penchant/objectives",
      "@tensorflow/tfjs-backend-cpu",
      "@tensorflow/tfjs-backend-wasm",
      "@tensorflow/tfjs-core",
      "csv-parse",
      "effect",
      "hyparquet",
      "hyparquet-compressors",
      "koffi",
      "linkedom",
      "onnxruntime-node",
      "picomatch",
      "ts-pattern",
      "typescript",
      "undici",
      "yaml"
    ])
    const used = new Map<string, string>()
    for (const name of ["dsl", "objectives", "runtime"]) {
      const manifest = JSON.parse(read(`packages/${name}/package.json`)) as { dependencies: Record<string, string> }
      for (const [dependency, version] of Object.entries(manifest.dependencies)) used.set(dependency, version)
    }
    assert.deepStrictEqual([...used.keys()].filter((name) => !known.has(name)), [])
    assert.deepStrictEqual([...used].filter(([, version]) => !/^(\d+\.\d+\.\d+|workspace:\*)$/.test(version)), [])
  })

  it("says `as any` nowhere, and skips no test", () => {
    const bad = /\bas any\b|@ts-ignore|@ts-nocheck|\.(?:skip|todo|only)\(/
    const own = "test/house.test.ts"
    assert.deepStrictEqual(sources.filter((file) => file !== own && bad.test(read(file))), [])
  })
})
