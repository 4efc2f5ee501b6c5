// Which TensorFlow.js is chosen, with packages made for the purpose in the folder that a process runs from.
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Choice, Refused } from "../../src/compute/tfjs/choice.ts"

const choice = new URL("../../src/compute/tfjs/choice.ts", import.meta.url).href

/** Package name -> its main file; no binding is there when that is undefined. */
type Packages = Readonly<Record<string, { readonly main: string; readonly built: boolean }>>

const chosen = (packages: Packages, forced?: string): Choice | Refused | string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tfjs-choice-"))
  try {
    for (const [name, { built, main }] of Object.entries(packages)) {
      const at = path.join(folder, "node_modules/@tensorflow", name)
      fs.mkdirSync(path.join(at, "lib/napi-v8"), { recursive: true })
      if (built) fs.writeFileSync(path.join(at, "lib/napi-v8/tfjs_binding.node"), "")
      fs.writeFileSync(path.join(at, "package.json"), JSON.stringify({ name: `@tensorflow/${name}`, version: "9.8.7" }))
      fs.writeFileSync(path.join(at, "index.js"), main)
    }
    const script = `import(${JSON.stringify(choice)}).then(({ choose }) => {
      console.log(JSON.stringify(choose(${JSON.stringify(forced)})))
    }).catch((error) => console.log(JSON.stringify(error.message)))`
    const { stderr, stdout } = spawnSync(process.execPath, ["-e", script], { cwd: folder, encoding: "utf8" })
    assert.notStrictEqual(stdout, "", stderr)
    return JSON.parse(stdout) as Choice | Refused | string
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

const working = (gpu: boolean): string =>
  `const { isArray, isNullOrUndefined } = require("node:util")
  if (!isArray([]) || !isNullOrUndefined(null) || isNullOrUndefined(0)) throw new Error("util is not restored")
  exports.backend = () => ({ binding: { TF_Version: "2.99.1" }, isUsingGpuDevice: ${gpu} })`
const broken = `throw new Error("libcudart.so.11.0: cannot open shared object file: No such file or directory")`

describe("the choice of TensorFlow.js", () => {
  it("is wasm when no native package is there, and says how to get one", () => {
    const found = chosen({}) as Choice
    assert.strictEqual(found.backend, "wasm")
    assert.match(found.version, /^4\.22\.0 wasm$/)
    assert.deepStrictEqual(found.refused.map(({ backend, problem }) => [backend, problem]), [
      ["node-gpu", "@tensorflow/tfjs-node-gpu is not installed"],
      ["node", "@tensorflow/tfjs-node is not installed"]
    ])
    assert.match(found.refused[1]!.remedy, /npm install --ignore-scripts @tensorflow\/tfjs-node@4\.22\.0/)
  })

  it("is the first native package that loads, with the functions of util that it calls put back", () => {
    const packages = {
      "tfjs-node-gpu": { main: broken, built: true },
      "tfjs-node": { main: working(false), built: true }
    }
    const found = chosen(packages) as Choice
    assert.strictEqual(found.backend, "node")
    assert.strictEqual(found.version, "9.8.7 node TensorFlow 2.99.1 cpu")
    const [refused] = found.refused
    assert.match(refused!.problem, /tfjs-node-gpu does not load: libcudart\.so\.11\.0: cannot open/)
    assert.match(refused!.remedy, /needs libcudart\.so\.11\.0: .*CUDA 11\.2/)
    const forced = chosen(packages, "wasm") as Choice
    assert.deepStrictEqual([forced.backend, forced.refused], ["wasm", []])
  })

  it("takes the GPU first, passes by what was not built, and refuses what was forced and does not run", () => {
    const gpu = chosen({ "tfjs-node-gpu": { main: working(true), built: true } }) as Choice
    assert.strictEqual(gpu.version, "9.8.7 node-gpu TensorFlow 2.99.1 gpu")
    const refused = chosen({ "tfjs-node": { main: working(false), built: false } }, "node") as Refused
    assert.strictEqual(refused.problem, "@tensorflow/tfjs-node is installed without its native binding")
    assert.match(refused.remedy, /docs\/tfjs\.md/)
    assert.match(chosen({}, "webgl") as string, /no backend "webgl" of tfjs: use node-gpu, node, wasm/)
  })
})
