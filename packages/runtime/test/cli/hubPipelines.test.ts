// The pipelines that name real data and models of the Hub, unedited, against a Hub that serves small ones of the same kinds:
// planned offline from a lock, killed on the way, and run to the end. `bench/kills.ts` kills at many more moments.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { filesOf, sha256, tokens } from "../hub/fakeHub.ts"
import { document } from "./command.ts"
import { type HubScene, hubScene, preferences } from "./hubPipelines.ts"
import { live, type Moment } from "./killed.ts"

/** The published model: the same files as a folder and in a repository, with a card that says where they come from. */
const checkPublished = ({ fake, place }: HubScene): void => {
  const out = filesOf(path.join(place.directory, "out"))
  assert.deepStrictEqual([...out.keys()].toSorted(), [
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json"
  ])
  const card = out.get("README.md")!.toString()
  const { sha } = fake.repos.get("datasets/HuggingFaceH4/ultrafeedback_binarized")!.commits[0]!
  for (
    const said of [
      "base_model: alignment-handbook/zephyr-7b-sft-full\n",
      "datasets:\n  - HuggingFaceH4/ultrafeedback_binarized\n",
      "  - dpo\n",
      "### train dpo(beta=0.01)",
      "learningRate 5e-7",
      `\`hf://datasets/HuggingFaceH4/ultrafeedback_binarized@main?split=train_prefs\` at commit \`${sha}\``,
      sha256(preferences.get("train_prefs-00000-of-00001.parquet")!),
      "From `objectives/dpo(beta=0.01)`:",
      "| preferenceAccuracy | "
    ]
  ) assert.include(card, said)
  // Untrained to the eye after one step at rate 0, the models of the other objectives score alike; they are not this one.
  assert.notInclude(card, "objectives/dil-bce")
  assert.match(card, /\$\$.*\\log.*\\sigma.*\$\$/)
  const repo = fake.repos.get("models/me/aligned")!
  assert.strictEqual(repo.access, "private")
  const there = repo.commits.at(-1)!.files
  assert.deepStrictEqual([...there.keys()].toSorted(), [...out.keys()].toSorted())
  for (const [name, bytes] of out) {
    if (name !== "README.md") assert.isTrue(bytes.equals(there.get(name)!), name)
  }
  assert.isUndefined(fake.asked.find(({ host, token }) => host === "storage" && token !== undefined))
}

/** Each kill of a command, by share of the writes that a run makes. */
const moments: Readonly<Record<string, ReadonlyArray<number>>> = {
  lock: [0.7],
  run: [0.1, 0.35, 0.3],
  folder: [0.6],
  upload: []
}

const onlyNamed = ({ fake }: HubScene): void =>
  assert.isFalse(fake.asked.some(({ path }) => /\.bin$|train_sft|helpful/.test(path)), "only what is named is fetched")

describe("pipelines of the Hub", () => {
  it("ultrafeedback-mistral, killed at its writes, leaves the bytes of a run that nobody touched", async () => {
    const name = "ultrafeedback-mistral"
    const untouched = await hubScene(name)
    const { left, lengths } = await live(untouched, name, () => undefined).finally(untouched.close)
    const scene = await hubScene(name)
    try {
      let busy = 2
      scene.fake.fault = ({ host, url }) =>
        host === "storage" && url.startsWith("/upload/") && busy-- > 0 ? { status: 503 } : undefined
      const next = new Map(Object.entries(moments).map(([command, shares]) => [command, [...shares]]))
      const lived = await live(scene, name, (command): Moment | undefined => {
        const share = next.get(command)!.shift()
        return share === undefined ? undefined : { write: 1 + Math.floor(share * lengths[command]!.writes) }
      })
      assert.lengthOf(lived.kills, 5, lived.kills.join(", "))
      assert.deepStrictEqual(lived.left, left)
      assert.lengthOf(lived.left.results, 6)
      assert.isBelow(busy, 1, "the upload was refused twice")
      checkPublished(scene)
      onlyNamed(scene)
    } finally {
      await scene.close()
    }
  }, 180_000)

  it("hh-pythia is planned offline from its lock, survives kill -9 while it fetches, and ends", async () => {
    const scene = await hubScene("hh-pythia")
    const { environment, fake, file, place } = scene
    try {
      const locked = await place.run("lock", file)
      assert.strictEqual(locked.code, 0, locked.stderr)
      const asked = fake.asked.length
      const planned = await place.run("plan", file)
      assert.match(planned.stdout, /\d+ steps: 0 unchanged, \d+ to run, 0 depending on results\n/)
      assert.strictEqual(fake.asked.length, asked, "a plan asks nothing")
      const running = place.start("run", file)
      await running.said("\"event\":\"FileProgress\"")
      running.child.kill("SIGKILL")
      await running.ended
      const ended = await place.run("run", file, "--json", "--only", "objectives", "--only", "before")
      assert.lengthOf(document(ended).results, 16)
      // Everything is there now.
      environment["HF_HUB_OFFLINE"] = "1"
      const again = await place.run("run", file, "--json", "--home", "other", "--only", "before")
      assert.strictEqual(again.code, 0, again.stderr)
      onlyNamed(scene)

      // Published in another form, which is written in the state directory first; nothing is left there.
      Object.assign(environment, { HF_HUB_OFFLINE: "", HF_TOKEN: tokens.good })
      const { label } = document(ended).results.find(({ label }) => label.startsWith("objectives/"))!
      const half = await place.run("publish", label, "me/half", "--dtype", "bfloat16", "--max-shard-size", "60KB")
      assert.strictEqual(half.code, 0, half.stderr)
      const { files } = fake.repos.get("models/me/half")!.commits.at(-1)!
      const index = JSON.parse(files.get("model.safetensors.index.json")!.toString())
      const shards = [...new Set(Object.values<string>(index.weight_map))]
      assert.isAbove(shards.length, 1)
      for (const shard of shards) assert.include(files.get(shard)!.toString("latin1"), "\"dtype\":\"BF16\"")
      assert.include(files.get("config.json")!.toString(), "\"bfloat16\"")
      const state = fs.readdirSync(path.join(place.directory, ".penchant"))
      assert.isFalse(state.some((name) => name.startsWith("publish-")))
    } finally {
      await scene.close()
    }
  }, 180_000)

  it(
    "paper-benchmarks finds every benchmark where the Hub has it, survives kill -9 between questions, and ends",
    async () => {
      const { close, environment, fake, file, place } = await hubScene("paper-benchmarks")
      // The start's row alone: trainings on these pairs have their own test, and ask the same questions.
      const only = ["--only", "paperStart"]
      // MATH is then judged by equal text and values alone, on every machine alike.
      environment["PENCHANT_PYTHON"] = "/no/such/python"
      try {
        const locked = await place.run("lock", file)
        assert.strictEqual(locked.code, 0, locked.stderr)
        const running = place.start("run", file, ...only)
        await running.said("\"unit\":\"question\"")
        running.child.kill("SIGKILL")
        await running.ended
        const { results } = document(await place.run("run", file, ...only, "--json"))
        assert.lengthOf(results, 1)
        for (const { label, metrics } of results) {
          // One file for every subset: the snark's answers are no answer of some tasks.
          assert.deepInclude(metrics, { arcChallengeQuestions: 25, bbhQuestions: 48, gsm8kQuestions: 6 }, label)
          assert.deepInclude(metrics, {
            mathHardTextAlone: 7,
            mathHardQuestions: 7,
            mmluProQuestions: 5,
            musrQuestions: 3
          }, label)
          assert.isAbove(metrics["arcChallenge"]! + metrics["mmluPro"]! + metrics["musr"]! + metrics["bbh"]!, 0, label)
        }
        // Files of equal bytes are fetched once.
        const lock = fs.readFileSync(path.join(place.directory, "penchant.lock"), "utf8")
        assert.isTrue(lock.includes("murder_mystery.csv") && lock.includes("number_theory/test-00000-of-00001.parquet"))
        const never = /\.bin$|train_sft|all\.csv|socratic|ARC-Easy|dyck|algebra\/train|^data\/train-/
        assert.isFalse(fake.asked.some(({ path }) => never.test(path)), "only what is named is fetched")
        environment["HF_HUB_OFFLINE"] = "1"
        const again = await place.run("run", file, "--json", ...only)
        assert.isTrue(document(again).steps.every(({ verdict }) => verdict === "hit"))
        // For lm-eval's readers: one file of results, and one of samples for each of the 37 tasks.
        await place.run("run", file, ...only)
        const left = fs.readdirSync(path.join(place.directory, ".penchant/reports/paper-benchmarks/paperStart"))
        const made = "\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\d\\.\\d{6}"
        assert.lengthOf(left.filter((name) => new RegExp(`^results_${made}\\.json$`).test(name)), 1)
        assert.lengthOf(left.filter((name) => new RegExp(`^samples_[a-z0-9_]+_${made}\\.jsonl$`).test(name)), 37)
      } finally {
        await close()
      }
    },
    180_000
  )
})
