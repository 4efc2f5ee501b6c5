// Runs that do not end by themselves: signals and kills in the middle of training, two processes on one step, damaged blobs.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Document, document, folder, jsonl, pipeline } from "./command.ts"

const trainedOf = ({ steps }: Document): string => steps.find(({ kind }) => kind === "train")!.outputs[0]!

describe("a run that is stopped", () => {
  const { close, directory, run, start, write } = folder()
  let whole = ""
  beforeAll(async () => {
    write("rows.jsonl", jsonl)
    write("p.ts", pipeline({ epochs: 40, objectives: "[dil.lsif()]" }))
    whole = trainedOf(document(await run("run", "p.ts", "--json", "--home", "whole")))
  }, 60_000)
  afterAll(close)

  const resumed = async (home: string): Promise<string> => {
    const again = document(await run("run", "p.ts", "--json", "--home", home, "--set", "checkpointEvery=10"))
    return trainedOf(again)
  }
  const untilTraining = (home: string) => {
    const running = start("run", "p.ts", "--home", home, "--set", "checkpointEvery=10")
    return running.said("\"unit\":\"step\"").then(() => running)
  }

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "by %s: checkpoints, exits 130, and goes on to the same bytes",
    async (signal) => {
      const { child, ended } = await untilTraining(signal)
      child.kill(signal)
      const { code, stderr } = await ended
      assert.strictEqual(code, 130)
      assert.include(stderr, "interrupted; run again to continue")
      const scratch = path.join(directory, signal, "scratch")
      const kept = fs.readdirSync(scratch, { recursive: true, encoding: "utf8" })
      assert.isTrue(kept.some((name) => name.endsWith("cursor.json")), `no checkpoint among ${kept.join(", ")}`)
      assert.strictEqual(await resumed(signal), whole)
    }
  )

  it("by kill -9, again and again: ends with the same bytes", async () => {
    for (let kill = 0; kill < 3; kill++) {
      const { child, ended } = await untilTraining("killed")
      await new Promise((resolve) => setTimeout(resolve, 120 * kill))
      child.kill("SIGKILL")
      await ended
    }
    assert.strictEqual(await resumed("killed"), whole)
  })

  it("runs a step once when two processes ask for it", async () => {
    const both = await Promise.all([1, 2].map(() => run("run", "p.ts", "--json", "--home", "shared")))
    const documents = both.map(document)
    assert.deepStrictEqual(documents.map(trainedOf), [whole, whole])
    for (const step of documents[0]!.steps) {
      const verdicts = documents.map(({ steps }) => steps.find(({ planKey }) => planKey === step.planKey)!.verdict)
      assert.deepStrictEqual(
        verdicts.filter((verdict) => verdict === "ran").length,
        1,
        `${step.label}: ${verdicts.join(", ")}`
      )
    }
  })

  it("notices a damaged blob, makes it again, and says so", async () => {
    const shown = JSON.parse(
      (await run("show", "small/dil-lsif › train dil-lsif", "--json", "--home", "shared")).stdout
    ) as {
      files: Record<string, string>
    }
    const weights = shown.files["model.safetensors"]!
    const bytes = fs.readFileSync(weights)
    bytes[bytes.length - 100]! ^= 1
    fs.chmodSync(weights, 0o644)
    fs.writeFileSync(weights, bytes)
    const { stderr, stdout } = await run("run", "p.ts", "--json", "--home", "shared")
    const again = JSON.parse(stdout) as Document
    const train = again.steps.find(({ kind }) => kind === "train")!
    assert.strictEqual(train.verdict, "ran", stderr)
    assert.match(train.why.join(), /sha256|damaged|other bytes|changed/i)
    assert.strictEqual(train.outputs[0], whole)
  })
})
