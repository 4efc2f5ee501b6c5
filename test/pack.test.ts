// What a user gets from the registry: the three packages are built, packed, installed elsewhere, and run a pipeline there.
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const names = ["dsl", "objectives", "runtime"]

const pipeline = `
import { chosenLogProb, Dataset, evaluate, Model, normalise, tokenise, train } from "@penchant/dsl"
import { dil } from "@penchant/objectives"

const rows = Dataset.inline([
  { prompt: "Once upon a time", chosen: " there was a girl.", rejected: " there was a big red ball." },
  { prompt: "The dog", chosen: " ran home.", rejected: " sat." },
  { prompt: "Lily said", chosen: " hello to the bird.", rejected: " no." }
])
const base = Model.dir("model")
const data = tokenise(normalise.plain(rows), base, { maxLength: 64 })
export default evaluate(train(dil.lsif(), { model: base, data }, { learningRate: 1e-3, batchSize: 3, epochs: 4 }), [
  chosenLogProb(data, { against: base })
])
`

const pnpm = (args: ReadonlyArray<string>, cwd: string): string =>
  execFileSync("npx", ["-y", "pnpm@12.21.0", ...args], { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

it("packs, installs elsewhere from the warm store, and runs a pipeline", { timeout: 180_000 }, () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-pack-"))
  try {
    const tarballs: Record<string, string> = {}
    for (const name of names) {
      const at = path.join(root, "packages", name)
      execFileSync(
        process.execPath,
        [path.join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"],
        { cwd: at }
      )
      pnpm(["pack", "--pack-destination", directory], at)
      tarballs[`@penchant/${name}`] = `file:./penchant-${name}-0.1.0.tgz`
    }
    const versions = (JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
      devDependencies: Record<string, string>
    }).devDependencies
    fs.writeFileSync(
      path.join(directory, "package.json"),
      JSON.stringify({
        name: "elsewhere",
        private: true,
        type: "module",
        dependencies: tarballs,
        devDependencies: { "@types/node": versions["@types/node"] }
      })
    )
    fs.writeFileSync(
      path.join(directory, "pnpm-workspace.yaml"),
      `overrides:\n${
        Object.entries(tarballs).map(([name, at]) => `  "${name}": "${at}"\n`).join("")
      }allowBuilds:\n  koffi: false\n  onnxruntime-node: false\n`
    )
    pnpm(["install", "--offline", "--no-frozen-lockfile"], directory)
    fs.writeFileSync(path.join(directory, "pipeline.ts"), pipeline)
    fs.cpSync(path.join(root, "data/models/stories260K"), path.join(directory, "model"), { recursive: true })
    const penchant = path.join(directory, "node_modules/@penchant/runtime/dist/cli/main.js")
    const run = (): {
      results: ReadonlyArray<{ metrics: Record<string, number> }>
      steps: ReadonlyArray<{ verdict: string }>
    } =>
      JSON.parse(execFileSync(process.execPath, [penchant, "run", "pipeline.ts", "--json"], {
        cwd: directory,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"]
      }))
    const first = run()
    // three pairs, four updates of which the first is at rate 0: LSIF raises the chosen answers at the start
    assert.isAbove(first.results[0]!.metrics["chosenChange"]!, 0)
    assert.deepStrictEqual(new Set(first.steps.map(({ verdict }) => verdict)), new Set(["ran"]))
    assert.deepStrictEqual(new Set(run().steps.map(({ verdict }) => verdict)), new Set(["hit"]))
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
})
