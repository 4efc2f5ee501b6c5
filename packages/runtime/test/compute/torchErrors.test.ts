// The reasons of a libtorch that has no call for them and only logs. The installed one logs its warnings the same way, through
// the same C++ stream, so a warning stands for an old library's failure.
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { discover } from "../../src/compute/torch/discovery.ts"
import { failureIn } from "../../src/compute/torch/errorText.ts"

const found = discover()
const at = (file: string) => JSON.stringify(new URL(`../../src/compute/torch/${file}`, import.meta.url).href)

describe("what libtorch logs", () => {
  it("is the last failure's first line, and lines about something else", () => {
    const log =
      "[W1128 a.cpp:1] Warning: slow\nException in aoti_torch: first\n[E1128 b.cpp:2] Exception in aoti_torch: "
      + "mat1 and mat2 do not fit\nframe #0: x\n"
    assert.deepStrictEqual(failureIn(log), {
      failure: "mat1 and mat2 do not fit",
      rest: "[W1128 a.cpp:1] Warning: slow\nException in aoti_torch: first\n"
    })
    assert.deepStrictEqual(failureIn("hello\n"), { failure: undefined, rest: "hello\n" })
  })

  it.skipIf("problem" in found || process.platform !== "linux")(
    "reaches the error and no stderr, where all else goes",
    () => {
      const lib = "problem" in found ? "" : found.lib
      const script = `
      import { createRequire } from "node:module"
      import { Worker } from "node:worker_threads"
      const koffi = createRequire(${at("native.ts")})("koffi")
      const { torchIn } = await import(${at("start.ts")})
      const { discover } = await import(${at("discovery.ts")})
      const { reasons } = await import(${at("errorText.ts")})
      torchIn(discover(), { kind: "cpu" })
      const reason = reasons()
      const warn = koffi.load(${
        JSON.stringify(`${lib}/libtorch_cpu.so`)
      }).func("void aoti_torch_warn(const char*, const char*, uint32_t, const char*)")
      warn("f", "a.cpp", 1, "it is slow")
      warn("f", "a.cpp", 2, "Exception in aoti_torch: shapes do not fit\\nframe #0")
      await new Promise((done) => new Worker("console.error('a thread')", { eval: true }).on("exit", done))
      console.error("node itself")
      console.log(reason())
      warn("f", "a.cpp", 3, "Exception in aoti_torch: again\\n")
      console.log(reasons()())
      warn("f", "a.cpp", 4, "the end")`
      const { stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        encoding: "utf8"
      })
      assert.strictEqual(stdout, "shapes do not fit\nagain\n", stderr)
      for (const line of ["it is slow", "a thread", "node itself", "the end"]) assert.include(stderr, line)
      assert.notInclude(stderr, "Exception in")
    }
  )
})
