// The lock as a file that people merge and edit, and which files of a repository a reference means.
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import type { Reference } from "@penchant/dsl/Reference"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { type LockedFile, lockedFiles, lockedSource, readLock, writeLock } from "../../src/hub/LockFile.ts"
import { selectFiles } from "../../src/hub/select.ts"

const [one, two] = ["hf://datasets/o/a@main?split=train", "hf://models/o/b@main"]
const file = (reference: string, name: string, digit: string, commit = "c".repeat(40)): LockedFile => ({
  reference,
  commit,
  file: name,
  size: 3,
  sha256: digit.repeat(64)
})

describe("penchant.lock", () => {
  let directory = ""
  const at = () => path.join(directory, "penchant.lock")
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-lock-"))
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))
  const problem = (result: Result.Result<unknown, Error>): string =>
    Result.isFailure(result) ? result.failure.message : "none"

  it("is sorted, one line a file, and keeps what is not locked anew", () => {
    Result.getOrThrow(writeLock(directory, [two], [file(two, "z", "2"), file(two, "config.json", "1")]))
    Result.getOrThrow(writeLock(directory, [one], [file(one, "data/b", "4"), file(one, "data/a", "3")]))
    Result.getOrThrow(writeLock(directory, [two], [file(two, "config.json", "5")]))
    const [header, ...lines] = fs.readFileSync(at(), "utf8").trimEnd().split("\n")
    assert.strictEqual(header, "{\"penchant.lock\":1}")
    assert.deepStrictEqual(lines.map((line) => JSON.parse(line)), [
      file(one, "data/a", "3"),
      file(one, "data/b", "4"),
      file(two, "config.json", "5")
    ])
  })

  it("gives a source its content as identity: neither commit nor order of lines", () => {
    Result.getOrThrow(writeLock(directory, [one], [file(one, "a", "1"), file(one, "b", "2")]))
    const before = Result.getOrThrow(lockedSource(directory, one))
    const [header, a, b] = fs.readFileSync(at(), "utf8").trimEnd().split("\n")
    fs.writeFileSync(at(), [header, b, a].join("\n").replaceAll("c".repeat(40), "d".repeat(40)))
    assert.deepStrictEqual(Result.getOrThrow(lockedSource(directory, one)), before)
  })

  it("is refused with the line that is wrong, and what to do", () => {
    assert.include(problem(lockedFiles(directory, one)), "is not in penchant.lock (run `penchant lock FILE`")
    fs.writeFileSync(at(), "<<<<<<< HEAD\n")
    assert.include(problem(readLock(directory)), "does not begin with {\"penchant.lock\":1}")
    fs.writeFileSync(at(), "{\"penchant.lock\":1}\n{\"reference\":\"x\"}\n")
    assert.match(problem(readLock(directory)), /penchant\.lock: line 2: .*delete it and run/s)
    fs.writeFileSync(at(), `{"penchant.lock":1}\n${JSON.stringify(file(one, "../../etc/passwd", "1"))}\n`)
    assert.include(problem(readLock(directory)), "line 2: names a file outside its repository")
    fs.rmSync(at())
    Result.getOrThrow(writeLock(directory, [one], [file(one, "a", "1"), file(one, "b", "2", "d".repeat(40))]))
    assert.include(problem(lockedFiles(directory, one)), "several commits")
  })
})

describe("files of a reference", () => {
  const chosen = (names: ReadonlyArray<string>, reference: Omit<Reference, "revision">) => {
    const all = names.map((path) => ({ path, size: 1, oid: "a".repeat(40) }))
    const selected = selectFiles(all, { revision: "main", ...reference })
    return Result.isSuccess(selected) ? selected.success.map(({ path }) => path) : selected.failure.message
  }
  const repository = [
    "README.md",
    "data/test_prefs-00000-of-00001.parquet",
    "data/train_prefs-00000-of-00002.parquet",
    "data/train_prefs-00001-of-00002.parquet",
    "harmless-base/train.jsonl.gz"
  ]

  it("are those of a split, of a folder, or of patterns", () => {
    const repo = "datasets/o/n"
    assert.deepStrictEqual(chosen(repository, { repo, split: "train_prefs" }), repository.slice(2, 4))
    assert.deepStrictEqual(chosen(repository, { repo, split: "train", dir: "harmless-base" }), repository.slice(4))
    assert.deepStrictEqual(chosen(repository, { repo, split: "x", files: ["data/t*_prefs-*"] }), repository.slice(1, 4))
    assert.deepStrictEqual(chosen(repository, { repo, files: ["**/*.{gz,md}"] }), [repository[0]!, repository[4]!])
    assert.strictEqual(
      chosen(repository, { repo, split: "validation" }),
      `datasets/o/n: has no files of split "validation", only of test_prefs, train_prefs; there is ${
        repository.slice(1).join(", ")
      } (name a split or dir that is there, or choose with \`files: "data/*.parquet"\`)`
    )
  })

  it("are a model's config, weights and tokenizer, and never pickles", () => {
    const repo = "models/o/n"
    const names = [
      "README.md",
      "chat_template.jinja",
      "config.json",
      "consolidated.safetensors",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
      "onnx/model.safetensors",
      "pytorch_model.bin",
      "tokenizer.json"
    ]
    assert.deepStrictEqual(chosen(names, { repo }), [...names.slice(1, 3), ...names.slice(4, 7), "tokenizer.json"])
    assert.include(
      chosen(["config.json", "pytorch_model.bin"], { repo }),
      "only pytorch_model.bin, which could run code"
    )
  })
})
