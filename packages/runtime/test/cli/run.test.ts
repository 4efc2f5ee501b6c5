// The main job as a person meets it: run, run again, change a line, ask what would happen and what there is.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { document, folder, jsonl, pipeline } from "./command.ts"

describe("run", () => {
  const { close, directory, run, write } = folder()
  beforeAll(() => {
    write("rows.jsonl", jsonl)
    write("p.ts", pipeline())
  })
  afterAll(close)

  it("says before anything ran what a training will take, from the longest rows that may come", async () => {
    const trainings = async () =>
      document(await run("plan", "p.ts", "--json")).steps.flatMap(({ kind, memory }) =>
        kind === "train" && memory ? [memory] : []
      )
    const [before] = await trainings()
    assert.strictEqual(before!.from, "maxLength")
    assert.strictEqual(before!["weights"], 4 * 260_032)
    assert.strictEqual(before!["optimiser"], 8 * 260_032)
    // 3 pairs of 32 + 31 + 31 rows.
    assert.strictEqual(before!["rows"], 3 * 94)
    const { stdout } = await run("plan", "p.ts")
    assert.match(stdout, /2 trainings take about [\d.]+ MB of memory \(weights 1\.0 MB, .*all rows as long/)
  })

  it("makes every result, then takes every one from the store", async () => {
    const first = document(await run("run", "p.ts", "--json"))
    assert.strictEqual(first.study, "small")
    assert.deepStrictEqual(first.results.map(({ label }) => label), ["small/dil-lsif", "small/dpo"])
    assert.isTrue(first.steps.every(({ outputs }) => outputs.length === 1 && /^[0-9a-f]{64}$/.test(outputs[0]!)))
    assert.deepStrictEqual(
      new Set(first.steps.map(({ kind }) => kind)),
      new Set(["model", "rows", "pairs", "tokenise", "score", "train", "metric", "scores"])
    )
    const speeds = first.steps.filter(({ kind }) => kind === "train").map(({ speed }) => speed)
    assert.strictEqual(speeds.length, 2)
    for (const speed of speeds) {
      assert.isAbove(speed!["tokensPerSecond"]!, 0)
      assert.isAbove(speed!["peakBytes"]!, 2e7)
      assert.notProperty(speed, "mfu")
    }
    const again = document(await run("run", "p.ts", "--json"))
    assert.deepStrictEqual(again.steps.filter(({ kind }) => kind === "train").map(({ speed }) => speed), speeds)
    assert.deepStrictEqual(new Set(again.steps.map(({ verdict }) => verdict)), new Set(["hit"]))
    assert.deepStrictEqual(again.results, first.results)
    assert.deepStrictEqual(again.steps.map(({ outputs }) => outputs), first.steps.map(({ outputs }) => outputs))
  })

  it("writes a report with the table's numbers, and says where", async () => {
    const { code, stdout } = await run("run", "p.ts")
    assert.strictEqual(code, 0)
    assert.include(stdout, "wrote report: .penchant/reports/p.html")
    const html = fs.readFileSync(path.join(directory, ".penchant/reports/p.html"), "utf8")
    assert.include(html, "260,032")
    assert.match(html, /<h2>Speed<\/h2>.*completion tokens\/s/s)
    const again = await run("run", "p.ts")
    assert.match(again.stdout, /nothing to do: all \d+ steps are in the store/)
    assert.include(again.stdout, "report unchanged")
    assert.strictEqual(again.stderr.split("\n").filter((line) => line.includes("StepStarted")).length, 0)
  })

  it("runs only the training and evaluation of an objective whose line changed", async () => {
    write("p.ts", pipeline({ objectives: "[dil.lsif(), dpo({ beta: 0.5 })]" }))
    const planned = document(await run("plan", "p.ts", "--json"))
    const changed = planned.steps.filter(({ verdict }) => verdict !== "Hit")
    assert.isTrue(
      changed.every(({ label }) => label.includes("dpo(beta=0.5)")),
      changed.map(({ label }) => label).join("; ")
    )
    const { steps } = document(await run("run", "p.ts", "--json"))
    const ran = steps.filter(({ verdict }) => verdict === "ran").map(({ kind }) => kind)
    assert.deepStrictEqual(ran.toSorted(), ["metric", "metric", "score", "scores", "train"])
  })

  it("says what changed, and where it lies", async () => {
    write("p.ts", pipeline({ epochs: 3 }))
    const { code, stdout } = await run("plan", "p.ts")
    assert.strictEqual(code, 0)
    assert.match(stdout, /recipe\.epochs.*2.*3/)
    assert.match(stdout, /2 trainings take about [\d.]+ MB of memory \(.* at \d+ tokens a micro-batch\)/)
    write("p.ts", pipeline())
    const listed = await run("ls", "--json")
    const labels = (JSON.parse(listed.stdout) as ReadonlyArray<{ label: string; digest: string }>).map(({ label }) =>
      label
    )
    assert.include(labels, "small/dil-lsif")
    const shown = JSON.parse((await run("show", "small/dil-lsif", "--json")).stdout) as {
      manifest: { kind: string; meta: object }
    }
    assert.strictEqual(shown.manifest.kind, "Scores")
    assert.containsAllKeys(shown.manifest.meta, ["chosenLogProb", "chosenChange", "margin"])
    const gone = await run("show", "small/dil-lsf")
    assert.strictEqual(gone.code, 1)
    assert.match(gone.stderr, /UnknownResult: small\/dil-lsf: .*did you mean small\/dil-lsif/)
  })

  it("runs one result when asked", async () => {
    const { results } = document(await run("run", "p.ts", "--only", "small/dpo", "--json"))
    assert.deepStrictEqual(results.map(({ label }) => label), ["small/dpo"])
    const { code, stderr } = await run("run", "p.ts", "--only", "small/dpq")
    assert.strictEqual(code, 1)
    assert.match(stderr, /nothing is called "small\/dpq"; there is: small\/dil-lsif, small\/dpo/)
  })

  it("shows the pairs as the model sees them, loss tokens marked", async () => {
    const { stdout } = await run("preview", "p.ts", "--rows", "1")
    assert.match(stdout, /row 0, prompt of \d+ tokens/)
    assert.include(stdout, "Once upon a time there were 0 dogs.")
    assert.match(stdout, /⟦[^⟧]*They⟧/)
    assert.match(stdout, /prompt and longest answer +\d+\.\d( +\d+){4}\n/)
    assert.match(stdout, /kept (\d) of \1 pairs\nnothing is longer than maxLength\n\n⟦ ⟧: tokens in the loss/)
  })

  it("answers a mistaken invocation with exit 2 and what was meant", async () => {
    const [typo, missing, engine, identity] = await Promise.all([
      run("rum"),
      run("run"),
      run("run", "p.ts", "--engine", "cuda"),
      run("run", "p.ts", "--set", "learningRate=1")
    ])
    assert.deepStrictEqual([typo.code, missing.code, engine.code, identity.code], [2, 2, 2, 1])
    assert.match(typo.stderr, /Did you mean this\?\s+run/)
    assert.match(identity.stderr, /belongs in the pipeline file/)
  })
})
