// NVRTC, which compiles without a GPU; the cache of what it made; the driver's refusals; and what a run is told when any of it
// is missing.
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Engine } from "../../../src/compute/Engine.ts"
import { discover, type Installation } from "../../../src/compute/torch/discovery.ts"
import { cached } from "../../../src/compute/torch/kernels/cache.ts"
import { openDriver } from "../../../src/compute/torch/kernels/driver.ts"
import { unitOf } from "../../../src/compute/torch/kernels/Kernel.ts"
import { kernels } from "../../../src/compute/torch/kernels/kernels.ts"
import { compiled, launcherOf } from "../../../src/compute/torch/kernels/Launcher.ts"
import { describeKernels, loadKernels } from "../../../src/compute/torch/kernels/load.ts"
import { CompileError, findNvrtc, nvrtcFolders, openNvrtc } from "../../../src/compute/torch/kernels/nvrtc.ts"
import { isLost, TorchError } from "../../../src/compute/torch/native.ts"
import { engineOf } from "../../../src/compute/workerClient.ts"
import { lazyEngine } from "../../../src/experiment/lazyEngine.ts"
import { type Event, Progress } from "../../../src/platform/Progress.ts"
import { thorough, tinyLlama } from "../fixtures.ts"
import { compileHost, host, noCompiler, torches } from "./host.ts"

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-cache-"))
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }))

const found = discover()
const folders = nvrtcFolders("problem" in found ? "/nonexistent/torch/lib" : found.lib)
const torch = "problem" in found ? "" : found.version
const nvrtc = findNvrtc(folders, torch)
if (typeof nvrtc !== "string") console.log(`SKIPPED: compiling kernels: ${nvrtc.problem}`)

describe.skipIf(typeof nvrtc !== "string")("NVRTC", () => {
  const open = () => openNvrtc(nvrtc as string)

  // machine code takes 3 s, PTX 1 s; machine code of Ampere and Blackwell under PENCHANT_THOROUGH=1
  for (const target of ["sm_90", "compute_80", "compute_100", ...(thorough ? ["sm_80", "sm_100"] : [])]) {
    it(`compiles every kernel for ${target}`, () => {
      const nvrtc = open()
      for (const kernel of Object.values(kernels)) {
        const code = Buffer.from(compiled(kernel, nvrtc, target, path.join(temporary, "compiled")))
        if (target.startsWith("sm_")) assert.strictEqual(code.toString("latin1", 0, 4), "\x7fELF", kernel.name)
        else assert.include(code.toString("latin1"), `.target sm_${target.slice("compute_".length)}`)
        for (const variant of kernel.variants) {
          assert.isAbove(code.indexOf(`${kernel.name}_${variant.join("_")}`), 0)
        }
      }
    })
  }

  it("is what doctor tells of, from the cache by now", () => {
    const sources = { folders, version: torch, capability: [9, 0], cache: path.join(temporary, "compiled") } as const
    assert.strictEqual(
      describeKernels(sources),
      `kernels: 9 of 9 compiled for sm_90 by NVRTC ${open().version.join(".")}, ${nvrtc}`
    )
  })

  it("says what it did not compile, with its log", () => {
    const refused = {
      name: "broken",
      variants: [["float32"]],
      parameters: { a: "A" },
      source: "template <class A> __device__ A broken(A a) { return b; }"
    } as const
    const problem = ((): unknown => {
      try {
        return open().compile("broken", unitOf(refused), "sm_90")
      } catch (error) {
        return error
      }
    })()
    assert.instanceOf(problem, CompileError)
    assert.match(
      (problem as Error).message,
      /broken for sm_90: .*broken\.cu\(\d+\): error: identifier "b" is undefined/s
    )
  })

  it("takes PTX for devices that are newer than it, and refuses ones that are too old", () => {
    const { target } = open()
    assert.strictEqual(target([9, 0]), "sm_90")
    assert.match(target([99, 0]), /^compute_\d+$/)
    assert.throws(() => target([1, 0]), /knows no architecture as old as compute capability 1\.0/)
  })

  it("is described by what it compiled, once, and then by the cache", () => {
    const one = { swiglu: kernels.swiglu }
    const [before, at] = [open(), path.join(temporary, "described")]
    const target = before.target([9, 0])
    const first = compiled(one.swiglu, before, target, at)
    const never = { ...before, compile: () => assert.fail("compiled again") }
    assert.deepStrictEqual(Buffer.from(compiled(one.swiglu, never, target, at)), Buffer.from(first))
    // another compiler's version is another code
    assert.throws(() => compiled(one.swiglu, { ...never, version: [99, 0] }, target, at), /compiled again/)
  })
})

describe("the cache", () => {
  const folder = path.join(temporary, "cache")
  const of = (code: string) => new TextEncoder().encode(code)
  let made = 0
  const get = (identity: ReadonlyArray<string>, at = folder) =>
    Buffer.from(cached(at, "rope", identity, () => {
      made += 1
      return of(`code of ${identity.join("+")}`)
    })).toString()

  it("makes a thing once, and another for another source, target or version", () => {
    assert.deepStrictEqual([get(["a", "sm_90"]), get(["a", "sm_90"])], ["code of a+sm_90", "code of a+sm_90"])
    assert.strictEqual(made, 1)
    assert.strictEqual(get(["b", "sm_90"]), "code of b+sm_90")
    // not the same when joined
    assert.strictEqual(get(["a", "sm_9", "0"]), "code of a+sm_9+0")
    assert.strictEqual(made, 3)
    assert.isTrue(fs.readdirSync(folder).every((name) => /^rope-[0-9a-f]{32}$/.test(name)))
  })

  it("makes it again when the file is damaged, cut or empty", () => {
    const file = path.join(folder, fs.readdirSync(folder)[0]!)
    const whole = fs.readFileSync(file)
    const flipped = Buffer.from(whole)
    flipped[whole.length - 1]! ^= 1
    for (const bad of [flipped, whole.subarray(0, whole.length - 1), whole.subarray(0, 10), Buffer.alloc(0)]) {
      fs.writeFileSync(file, bad)
      const before = made
      for (const identity of [["a", "sm_90"], ["b", "sm_90"], ["a", "sm_9", "0"]]) {
        assert.strictEqual(get(identity), `code of ${identity.join("+")}`)
      }
      assert.strictEqual(made - before, 1)
      assert.deepStrictEqual(fs.readFileSync(file), whole)
    }
  })

  it("does without a folder that it cannot write to", () => {
    const file = path.join(temporary, "a file")
    fs.writeFileSync(file, "")
    assert.strictEqual(get(["c"], file), "code of c")
    assert.strictEqual(get(["c"], file), "code of c")
  })
})

describe("the place of NVRTC", () => {
  const site = path.join(temporary, "site")
  const put = (...files: ReadonlyArray<string>) => {
    for (const file of files) {
      fs.mkdirSync(path.dirname(path.join(site, file)), { recursive: true })
      fs.writeFileSync(path.join(site, file), "")
    }
  }
  const of = (version: string) =>
    path.relative(site, findNvrtc(nvrtcFolders(path.join(site, "torch/lib")), version) as string)

  it("is beside torch, of torch's CUDA where there are several", () => {
    put("torch/lib/libnvrtc-672ee683.so.11.2", "torch/lib/libnvrtc-builtins.so.11.2")
    assert.strictEqual(of("2.13.0+cu130"), "torch/lib/libnvrtc-672ee683.so.11.2")
    put("nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.8")
    put(
      "nvidia/cu13/lib/libnvrtc.alt.so.13",
      "nvidia/cu13/lib/libnvrtc.so.13",
      "nvidia/cu13/lib/libnvrtc-builtins.so.13.0"
    )
    assert.strictEqual(of("2.13.0+cu130"), "nvidia/cu13/lib/libnvrtc.so.13")
    assert.strictEqual(of("2.13.0+cu128"), "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    assert.strictEqual(of("2.13.0"), "nvidia/cu13/lib/libnvrtc.so.13")
  })
})

describe("without NVRTC", () => {
  const native = { pointer: () => 0n, stream: () => 0n }
  const sources = { folders: ["/nonexistent"], version: torch, capability: [9, 0], cache: temporary } as const

  it("there are no kernels, and people are told why and what to do", () => {
    const { launcher, notice } = loadKernels(native, sources, "libcuda.so.1", 0)
    assert.isUndefined(launcher)
    assert.match(notice!, /^no kernels: no NVRTC in \/nonexistent; install .*; PyTorch's own operators compute instead/)
    assert.match(describeKernels(sources), /^kernels: none, no NVRTC in \/nonexistent; install /)
  })

  it.effect("a run is told once, by the step that starts the engine", () =>
    Effect.gen(function*() {
      const events: Array<Event> = []
      const listener = Progress.of({ emit: (event) => Effect.sync(() => void events.push(event)) })
      const file = new URL("../faulty.worker.ts", import.meta.url)
      const slow = Layer.effect(Engine, engineOf(file, { engine: "faulty", options: { device: "slow" } }))
      const numerics = yield* Effect.provide(Engine.use((engine) => Effect.succeed(engine.numerics)), Layer.fresh(slow))
      const { engine } = yield* lazyEngine(slow, numerics)
      for (let step = 0; step < 2; step++) {
        yield* Effect.scoped(Effect.flatMap(engine, ({ open }) => open(tinyLlama(1)))).pipe(
          Effect.provideService(Progress, listener)
        )
      }
      assert.deepStrictEqual(events, [{ _tag: "Warning", label: "engine faulty", message: "the slow way" }])
    }).pipe(Effect.scoped))
})

describe.skipIf("problem" in found || noCompiler !== undefined)("the driver", () => {
  const { folder, library } = "problem" in found || noCompiler !== undefined
    ? { folder: "", library: "" }
    : compileHost()
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

  it("leaves out kernels that do not compile or load, and no others", () => {
    const { launcher, loaded, native } = torches(found as Installation, library)
    launcher.close()
    assert.strictEqual(loaded(), 0)
    const some = launcherOf(native, openDriver(library, 0), ({ name }) => {
      if (name === "rope") throw new CompileError("rope for sm_90: its log")
      return name === "swiglu" ? new TextEncoder().encode("code of another device") : host
    })
    assert.deepStrictEqual([...some.missing], [
      ["rope", "rope for sm_90: its log"],
      ["swiglu", "cuModuleLoadData: CUDA error: device kernel image is invalid"]
    ])
    assert.deepStrictEqual([some.has("rope"), some.has("swiglu"), some.has("rmsNorm")], [false, false, true])
    // a context and a module for each that is there
    assert.strictEqual(loaded(), 1 + Object.keys(kernels).length - 2)
    some.close()
    assert.strictEqual(loaded(), 0)
  })

  it("refuses launches in libtorch's words, and wrong arguments before it is asked", () => {
    const { kernels: torch, launcher, loaded } = torches(found as Installation, library)
    torch.scope(() => {
      const x = torch.zeros([8])
      const problem = ((): unknown => {
        try {
          return launcher.launch("swiglu", ["float32"], { blocks: 1, threads: 1000 }, [x, x, x, 8])
        } catch (error) {
          return error
        }
      })()
      assert.instanceOf(problem, TorchError)
      assert.strictEqual((problem as Error).message, "cuLaunchKernel: CUDA error: invalid argument")
      assert.isFalse(isLost(problem))
      const grid = { blocks: 1, threads: 32 }
      assert.throws(() => launcher.launch("swiglu", ["float32"], grid, [x, x, 8]), /swiglu takes 4 arguments/)
      assert.throws(() => launcher.launch("swiglu", [], grid, [x, x, x, 8]), /swiglu is not made for/)
    })
    launcher.close()
    assert.strictEqual(loaded(), 0)
  })

  it("that is not there is a reason, not a failure", { skip: typeof nvrtc !== "string" }, () => {
    const sources = { folders, version: torch, capability: [9, 0], cache: path.join(temporary, "loaded") } as const
    const { launcher, notice } = loadKernels({ pointer: () => 0n, stream: () => 0n }, sources, "/nonexistent.so", 0)
    assert.isUndefined(launcher)
    assert.match(notice!, /^no kernels: .*\/nonexistent\.so/s)
  })
})
