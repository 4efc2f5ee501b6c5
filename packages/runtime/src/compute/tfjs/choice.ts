// Which TensorFlow.js runs here, known without loading it: the native bindings, whose packages are the user's to install, before
// wasm, which comes with this one. A binding is tried in a process of its own: loading one can take seconds, or crash.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** In order of preference. */
export const backendNames = ["node-gpu", "node", "wasm"] as const
export type BackendName = typeof backendNames[number]

const packages: { readonly [B in Exclude<BackendName, "wasm">]: string } = {
  "node-gpu": "@tensorflow/tfjs-node-gpu",
  node: "@tensorflow/tfjs-node"
}

/** A backend that does not run here, and what to do about it. */
export interface Refused {
  readonly backend: BackendName
  readonly problem: string
  readonly remedy: string
}

export interface Choice {
  readonly backend: BackendName
  /** Folder of the package to load. */
  readonly folder: string
  /** Of everything that decides the numbers: "4.22.0 wasm", "4.22.0 node TensorFlow 2.21.0 cpu". */
  readonly version: string
  /** What was preferred and does not run. */
  readonly refused: ReadonlyArray<Refused>
}

const here = createRequire(import.meta.url)

/** Beside this package, or in the project that it is run from. */
const folderOf = (name: string): string | undefined => {
  try {
    return path.dirname(here.resolve(`${name}/package.json`, { paths: [import.meta.dirname, process.cwd()] }))
  } catch {
    return undefined
  }
}
const versionOf = (folder: string): string =>
  (JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) as { readonly version: string }).version

/** What the process that tries a binding prints. */
export type Tried = { readonly tensorflow: string; readonly gpu: boolean } | { readonly problem: string }

const probe = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./probe.ts" : "./probe.js", import.meta.url))
const build = "build its binding against an installed TensorFlow, docs/tfjs.md says how"

const tryNative = (backend: Exclude<BackendName, "wasm">): Choice | Refused => {
  const refuse = (problem: string, remedy: string): Refused => ({ backend, problem, remedy })
  const name = packages[backend]
  const folder = folderOf(name)
  if (folder === undefined) {
    return refuse(`${name} is not installed`, `npm install --ignore-scripts ${name}@4.22.0, then ${build}`)
  }
  const bindings = path.join(folder, "lib")
  const built = fs.existsSync(bindings)
    && fs.readdirSync(bindings).some((level) => fs.existsSync(path.join(bindings, level, "tfjs_binding.node")))
  if (!built) return refuse(`${name} is installed without its native binding`, build)
  // TensorFlow greets on stderr; set here, in the main thread, it holds for the process and the engine's thread too.
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "3"
  const { signal, status, stdout } = spawnSync(process.execPath, [probe, folder], {
    encoding: "utf8",
    timeout: 120_000
  })
  const found: Tried = status === 0
    ? JSON.parse(stdout.trim().split("\n").at(-1)!)
    : { problem: `the process that tried it ended with ${signal ?? `code ${status}`}` }
  if ("problem" in found) {
    const cuda = /lib(cuda|cudart|cudnn|cublas)[\w.]*/.exec(found.problem)?.[0]
    return refuse(
      `${name} does not load: ${found.problem}`,
      cuda === undefined
        ? build
        : `it needs ${cuda}: the published binding is made for CUDA 11.2 and cuDNN 8.1; install those, or ${build}`
    )
  }
  return {
    backend,
    folder,
    version: `${versionOf(folder)} ${backend} TensorFlow ${found.tensorflow} ${found.gpu ? "gpu" : "cpu"}`,
    refused: []
  }
}

const tryWasm = (): Choice | Refused => {
  const folder = folderOf("@tensorflow/tfjs-backend-wasm")
  return folder === undefined
    ? {
      backend: "wasm",
      problem: "@tensorflow/tfjs-backend-wasm is not installed",
      remedy: "install again: it is a dependency"
    }
    : { backend: "wasm", folder, version: `${versionOf(folder)} wasm`, refused: [] }
}

const tried = new Map<BackendName, Choice | Refused>()
const attempt = (name: BackendName): Choice | Refused => {
  const known = tried.get(name) ?? (name === "wasm" ? tryWasm() : tryNative(name))
  tried.set(name, known)
  return known
}

/** The first that runs; or the forced one, or why it does not. Each is tried once per process. */
export const choose = (forced?: string): Choice | Refused => {
  const names = backendNames.filter((name) => forced === undefined || name === forced)
  if (names.length === 0) throw new Error(`no backend "${forced}" of tfjs: use ${backendNames.join(", ")}`)
  const refused: Array<Refused> = []
  for (const name of names) {
    const found = attempt(name)
    if (!("problem" in found)) return { ...found, refused }
    refused.push(found)
  }
  return refused.at(-1)!
}
