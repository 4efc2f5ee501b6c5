import type { Example, Pair } from "@penchant/dsl/Pair"
import type { Truncation } from "@penchant/dsl/Tokenise"
import type { TokenGroups } from "@penchant/runtime/compute/Batch"
import { promptIds } from "@penchant/runtime/data/boundary"
import { tokenisePairs } from "@penchant/runtime/data/tokenise"
import type { TokeniseOptions } from "@penchant/runtime/data/tokenisePart"
import { loadTokenizer, type Tokenizer } from "@penchant/runtime/data/tokenizer"
import { unsound } from "@penchant/runtime/data/tokensFile"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { minimind, normalised, reference, stories260K } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "tokenise-"))
afterAll(() => rmSync(directory, { recursive: true }))
const load = (path: string) => Effect.runPromise(loadTokenizer(path))
const stories = await load(stories260K)
const chatty = await load(minimind)

/** The stories tokenizer under another config. */
const variant = async (name: string, changes: Readonly<Record<string, unknown>>): Promise<Tokenizer> => {
  const folder = join(directory, name)
  cpSync(stories260K, folder, { recursive: true, filter: (path) => !path.endsWith(".safetensors") })
  const path = join(folder, "tokenizer_config.json")
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")) as object, ...changes }))
  return load(folder)
}

const run = (pairs: ReadonlyArray<Example>, tokenizer: Tokenizer, options: Partial<TokeniseOptions> = {}) =>
  Effect.runPromise(tokenisePairs(pairs, tokenizer, { maxLength: 10_000, truncation: "drop", ...options }))
const failure = async (
  pairs: ReadonlyArray<Example>,
  tokenizer: Tokenizer,
  options: Partial<TokeniseOptions> = {}
) => {
  const result = await Effect.runPromise(
    Effect.result(tokenisePairs(pairs, tokenizer, { maxLength: 10_000, truncation: "drop", ...options }))
  )
  if (Result.isSuccess(result)) throw new Error("tokenised")
  return { tag: result.failure._tag, message: result.failure.message }
}

/** Group g taken apart: prompt, chosen, rejected. */
const partsOf = (
  { branchLength, offsets, promptLength, tokens }: TokenGroups,
  g: number
): ReadonlyArray<ReadonlyArray<number>> => {
  let at = offsets[g]!
  return [promptLength[g]!, branchLength[2 * g]!, branchLength[2 * g + 1]!].map((length) =>
    Array.from(tokens.subarray(at, at += length))
  )
}
const pair = (
  prompt: Pair["prompt"],
  chosen: Pair["chosen"],
  rejected: Pair["rejected"],
  id = "r",
  columns = {}
): Pair => ({ id, prompt, chosen, rejected, columns })
const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })
const system = (content: string) => ({ role: "system", content })

const whole = await run(normalised.pairs, stories)
const truncations: ReadonlyArray<Truncation> = ["drop", "leftOfPrompt", "endOfAnswer", "fail"]

describe("text rows", () => {
  it("gives the ids of the reference implementation on 48 real pairs", async () => {
    const expected: ReadonlyArray<{
      readonly row: number
      readonly prompt_ids: ReadonlyArray<number>
      readonly chosen_ids: ReadonlyArray<number>
      readonly rejected_ids: ReadonlyArray<number>
    }> = JSON.parse(readFileSync(reference("hh-ids.json"), "utf8"))
    assert.strictEqual(expected.length, 48)
    for (const { chosen_ids, prompt_ids, rejected_ids, row } of expected) {
      const g = whole.groups.ids.indexOf(String(row))
      assert.deepStrictEqual(partsOf(whole.groups, g), [prompt_ids, chosen_ids, rejected_ids], `row ${row}`)
    }
    // The reference skipped pairs beyond 512 tokens and took rows in file order: so does `drop`.
    const { groups } = await run(normalised.pairs.slice(0, 64), stories, { maxLength: 512 })
    assert.deepStrictEqual(groups.ids.slice(0, 48), expected.map(({ row }) => String(row)))
  })

  it("reports what the pairs that ship hold", () => {
    assert.deepStrictEqual(whole.report, {
      pairs: 2303,
      kept: 2303,
      tokens: 1_176_329,
      dropped: {},
      tooLong: { chosen: 0, rejected: 0 },
      cut: { prompt: 0, chosen: 0, rejected: 0 },
      lost: { prompt: 0, chosen: 0, rejected: 0 },
      unended: { chosen: 0, rejected: 0 },
      spelled: []
    })
    assert.strictEqual(unsound(whole.groups), undefined)
    assert.strictEqual(whole.groups.tokens.filter((id) => id === 1).length, 2303)
    assert.strictEqual(whole.groups.tokens.filter((id) => id === 2).length, 2 * 2303)
  })

  it("has BOS once and EOS once, whatever the text brings", async () => {
    const { groups, report } = await run([pair("<s>a", "b</s>", "c", "0"), pair("a", "b", "c<s>d</s>e", "1")], stories)
    const [b, c] = ["b", "c"].map((text) => stories.encode(text, false).concat(2))
    assert.deepStrictEqual(partsOf(groups, 0), [stories.encode("<s>a", false), b!, c!])
    assert.strictEqual(partsOf(groups, 0)[0]![0], 1)
    assert.strictEqual(partsOf(groups, 0)[0]!.filter((id) => id === 1).length, 1)
    assert.deepStrictEqual(partsOf(groups, 1)[0], stories.encode("a", true))
    assert.deepStrictEqual(report.spelled, ["1"])
  })

  it("follows a tokenizer that has no BOS, no EOS, or says that text has no BOS", async () => {
    assert.deepStrictEqual(promptIds(chatty, "Hi"), chatty.encode("Hi", false))
    const bare = await variant("bare", { bos_token: null, eos_token: null })
    const { groups, report } = await run(
      [pair("a", "b", "c", "0"), pair("", "b", "c", "1"), pair("a", "", "c", "2")],
      bare
    )
    assert.deepStrictEqual(partsOf(groups, 0), ["a", "b", "c"].map((text) => bare.encode(text, false)))
    assert.deepStrictEqual(report.unended, { chosen: 1, rejected: 1 })
    assert.deepStrictEqual(report.dropped, { "no tokens": ["1", "2"] })
    // With BOS there is something to predict the first token from.
    assert.deepStrictEqual(partsOf((await run([pair("", "b", "c")], stories)).groups, 0)[0], [1])
  })

  it("carries columns, and misses none", async () => {
    const { groups } = await run([pair("a", "b", "c", "0", { m: 1.5 }), pair("a", "b", "c", "1", { m: -2 })], stories)
    assert.deepStrictEqual(groups.columns, { m: Float64Array.of(1.5, -2) })
    assert.deepStrictEqual(
      await failure([pair("a", "b", "c", "0", { m: 1 }), pair("a", "b", "c", "1")], stories),
      { tag: "BadTokens", message: `row 1: has no column "m"` }
    )
  })

  it("refuses ids that the model does not have", async () => {
    const text = pair("a", "b", "zzz", "7")
    const largest = Math.max(...partsOf((await run([text], stories)).groups, 0).flat())
    await run([text], stories, { vocabSize: largest + 1 })
    assert.deepStrictEqual(await failure([text], stories, { vocabSize: largest }), {
      tag: "BadTokens",
      message: `row 7: token ${largest} (${
        JSON.stringify(stories.piece(largest))
      }) is beyond the model's vocabulary of ${largest}`
    })
  })
})

describe("truncation of the pairs that ship, at 384 tokens", () => {
  const maxLength = 384
  const lengths = normalised.pairs.map((_, g) => partsOf(whole.groups, g))
  const fits = (parts: ReadonlyArray<ReadonlyArray<number>>, side: 1 | 2) =>
    parts[0]!.length + parts[side]!.length <= maxLength
  const modes = truncations.filter((mode) => mode !== "fail").flatMap((truncation) =>
    [false, true].map((allowCut) => ({ truncation, allowCut }))
  )

  it.each(modes)(
    "$truncation, allowCut $allowCut: keeps BOS, fakes no EOS, cuts neither side in silence",
    async (options) => {
      const { groups, report } = await run(normalised.pairs, stories, { maxLength, ...options })
      assert.strictEqual(unsound(groups), undefined)
      const kept = new Map(groups.ids.map((id, g) => [id, g]))
      const found = { prompt: 0, chosen: 0, rejected: 0, unended: { chosen: 0, rejected: 0 } }
      for (const [index, original] of lengths.entries()) {
        const g = kept.get(whole.groups.ids[index]!)
        const [prompt, chosen, rejected] = original as [Array<number>, Array<number>, Array<number>]
        if (fits(original, 1) && fits(original, 2)) {
          assert.deepStrictEqual(partsOf(groups, g!), original, "a pair that fits is left alone")
          continue
        }
        if (g === undefined) continue
        const now = partsOf(groups, g)
        assert.strictEqual(now[0]![0], 1)
        assert.strictEqual(now[0]!.filter((id) => id === 1).length, 1)
        assert.isAtMost(now[0]!.length + Math.max(now[1]!.length, now[2]!.length), maxLength)
        if (options.truncation === "leftOfPrompt") {
          assert.deepStrictEqual(now.slice(1), [chosen, rejected])
          assert.deepStrictEqual(now[0]!.slice(1), prompt.slice(prompt.length - now[0]!.length + 1))
          assert.strictEqual(now[0]!.length + Math.max(chosen.length, rejected.length), maxLength)
          found.prompt += 1
        } else {
          assert.strictEqual(options.truncation, "endOfAnswer")
          assert.deepStrictEqual(now[0], prompt)
          const cut = [now[1]!.length < chosen.length, now[2]!.length < rejected.length]
          assert.deepStrictEqual(now[1], chosen.slice(0, now[1]!.length))
          assert.deepStrictEqual(now[2], rejected.slice(0, now[2]!.length))
          for (const [side, was] of cut.entries()) {
            assert.strictEqual(now[side + 1]!.at(-1) === 2, !was, "EOS stands exactly where nothing was cut")
            if (was) assert.strictEqual(prompt.length + now[side + 1]!.length, maxLength)
          }
          if (!options.allowCut) assert.deepStrictEqual(cut, [true, true])
          found.chosen += cut[0] ? 1 : 0
          found.rejected += cut[1] ? 1 : 0
        }
      }
      assert.deepStrictEqual(report.cut, { prompt: found.prompt, chosen: found.chosen, rejected: found.rejected })
      assert.deepStrictEqual(report.unended, { chosen: found.chosen, rejected: found.rejected })
      assert.deepStrictEqual(report.tooLong, { chosen: 890, rejected: 972 })
      const dropped = Object.values(report.dropped).flat()
      assert.strictEqual(dropped.length + report.kept, 2303)
      assert.strictEqual(new Set([...dropped, ...groups.ids]).size, 2303)
    }
  )

  it("counts every reason", async () => {
    const counts = async (options: Partial<TokeniseOptions>): Promise<Record<string, number>> => {
      const { dropped, kept } = (await run(normalised.pairs, stories, { maxLength, ...options })).report
      return { kept, ...Object.fromEntries(Object.entries(dropped).map(([reason, ids]) => [reason, ids.length])) }
    }
    assert.deepStrictEqual(await counts({ truncation: "drop" }), { kept: 1245, "longer than maxLength": 1058 })
    assert.deepStrictEqual(await counts({ truncation: "leftOfPrompt" }), { kept: 2169, "no room for the prompt": 134 })
    assert.deepStrictEqual(await counts({ truncation: "endOfAnswer" }), {
      kept: 1426,
      "no room for an answer": 618,
      "only one answer cut": 254,
      "answers equal in tokens": 5
    })
    assert.deepStrictEqual(await counts({ truncation: "endOfAnswer", allowCut: true }), {
      kept: 1680,
      "no room for an answer": 618,
      "answers equal in tokens": 5
    })
  })

  it("fails on the first pair that is too long, when asked", async () => {
    const g = lengths.findIndex((parts) => !(fits(parts, 1) && fits(parts, 2)))
    const longest = lengths[g]![0]!.length + Math.max(lengths[g]![1]!.length, lengths[g]![2]!.length)
    assert.deepStrictEqual(await failure(normalised.pairs, stories, { maxLength, truncation: "fail" }), {
      tag: "BadTokens",
      message: `row ${whole.groups.ids[g]}: has ${longest} tokens, more than maxLength 384, under truncation "fail"`
    })
  })

  it("lets an interruption through between pairs", async () => {
    const fiber = Effect.runFork(tokenisePairs(normalised.pairs, chatty, { maxLength, truncation: "drop" }))
    fiber.interruptUnsafe()
    const exit = await new Promise<{ readonly _tag: string }>((done) => fiber.addObserver(done))
    assert.strictEqual(exit._tag, "Failure")
  })
})

describe("chat rows", () => {
  const ids = (text: string, tokenizer = chatty) => tokenizer.encode(text, false)

  it("renders the whole, and puts the end of the turn but nothing after it into the loss", async () => {
    const messages = pair([system("Be brief."), user("2+2?")], [assistant("4")], [assistant("It is 5.")])
    const { groups, report } = await run([messages], chatty)
    const start =
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert.deepStrictEqual(partsOf(groups, 0), [ids(start), ids("4<|im_end|>"), ids("It is 5.<|im_end|>")])
    assert.deepStrictEqual(report.unended, { chosen: 0, rejected: 0 })
    assert.deepStrictEqual(report.spelled, [])
  })

  it("has one BOS where the template writes none and the tokenizer adds it", async () => {
    const { groups } = await run([pair([user("Hi")], [assistant("yes")], "no")], stories)
    assert.deepStrictEqual(partsOf(groups, 0), [
      [1, ...ids("Human: Hi\nAssistant:", stories)],
      // The whole is encoded at once, so the answer has no piece of its own for the start of a text.
      ids("Human: Hi\nAssistant: yes</s>", stories).slice(ids("Human: Hi\nAssistant:", stories).length),
      ids("Human: Hi\nAssistant: no</s>", stories).slice(ids("Human: Hi\nAssistant:", stories).length)
    ])
    assert.strictEqual(groups.tokens.filter((id) => id === 1).length, 1)
    assert.strictEqual(groups.tokens.filter((id) => id === 2).length, 2)
  })

  it("keeps one BOS where the template writes it, and refuses two", async () => {
    const template = (start: string) =>
      `{{ '${start}' }}{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}`
    const one = await variant("one", { chat_template: template("<s>") })
    const { groups } = await run([pair([user("Hi")], [assistant("yes")], [assistant("no")])], one)
    assert.strictEqual(groups.tokens.filter((id) => id === 1).length, 1)
    assert.strictEqual(groups.tokens[0], 1)
    const two = await variant("two", { chat_template: template("<s><s>") })
    assert.deepStrictEqual(await failure([pair([user("Hi")], [assistant("yes")], [assistant("no")])], two), {
      tag: "BadTokens",
      message: `row r: the prompt starts with BOS twice (1 "<s>")`
    })
  })

  it("takes an answer of several turns whole, and an answer that spells an end of turn", async () => {
    const several = pair([user("2+2?")], [assistant("add(2, 2)"), { role: "tool", content: "4" }, assistant("4")], [
      assistant("<|im_end|> is a token")
    ])
    const { groups } = await run([several], chatty)
    const text = chatty.decode(partsOf(groups, 0)[1]!)
    assert.isTrue(text.startsWith("add(2, 2)<|im_end|>") && text.endsWith("4<|im_end|>"), text)
    assert.strictEqual(chatty.decode(partsOf(groups, 0)[2]!), "<|im_end|> is a token<|im_end|>")
  })

  it("keeps everything and says so when the template ends no turn", async () => {
    const plain = await variant("plain", {
      chat_template:
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    })
    const { groups, report } = await run([pair([user("Hi")], [assistant("</s> yes")], [assistant("no")])], plain)
    assert.strictEqual(plain.decode(partsOf(groups, 0)[2]!).trimStart(), "no\n")
    // This tokenizer starts every stretch of text with a space, also after a special token.
    assert.strictEqual(plain.decode(partsOf(groups, 0)[1]!).trimStart(), "</s>  yes\n")
    assert.deepStrictEqual(report.unended, { chosen: 1, rejected: 1 })
  })

  it("refuses a prompt that is no prefix of the whole, with the difference", async () => {
    const changing = await variant("changing", {
      chat_template:
        "{% for m in messages %}{{ m.content }}{% if loop.last and m.role == 'user' %}?{% else %}!{% endif %}{% endfor %}"
    })
    const prompt = changing.encode("Hi?", true)
    const answered = changing.encode("Hi!yes!", true)
    const at = prompt.findIndex((id, index) => id !== answered[index])
    assert.deepStrictEqual(await failure([pair([user("Hi")], [assistant("yes")], [assistant("no")], "9")], changing), {
      tag: "BadTokens",
      message:
        `row 9: the prompt is no prefix of prompt and chosen answer: token ${at} is ${prompt[at]} ${
          JSON.stringify(changing.piece(prompt[at]!))
        } ` +
        `in the prompt alone, ${answered[at]} ${
          JSON.stringify(changing.piece(answered[at]!))
        } in the whole; the chat template writes the last turn differently when it is answered`
    })
  })

  it("gives the template's reason, and the file that lacks one", async () => {
    const strict = await variant("strict", { chat_template: "{{ raise_exception('no system turn') }}" })
    assert.deepStrictEqual(await failure([pair([user("a")], "b", "c", "3")], strict), {
      tag: "BadTokens",
      message: "row 3: the chat template refuses the messages: no system turn"
    })
    const none = await variant("none", { chat_template: null })
    const { message, tag } = await failure([pair([user("a")], "b", "c")], none)
    assert.strictEqual(tag, "BadFile")
    assert.include(message, "none/tokenizer_config.json: has no chat_template")
    assert.strictEqual((await run([pair("a", "b", "c")], none)).report.kept, 1)
  })

  it("cuts the prompt after BOS and the system turn", async () => {
    const long = Array.from({ length: 60 }, (_, index) => `word${index}`).join(" ")
    for (const tokenizer of [chatty, stories]) {
      const template = Result.getOrThrow(tokenizer.chatTemplate())
      const turn = ids(Result.getOrThrow(template.render([system("Be brief.")], false)), tokenizer)
      const head = tokenizer === stories ? [1, ...turn] : turn
      const one = pair([system("Be brief."), user(long)], [assistant("yes")], [assistant("no, not at all")])
      const [prompt = [], chosen = [], rejected = []] = partsOf((await run([one], tokenizer)).groups, 0)
      const maxLength = head.length + 20 + rejected.length
      const { groups, report } = await run([one], tokenizer, { maxLength, truncation: "leftOfPrompt" })
      assert.deepStrictEqual(partsOf(groups, 0), [[...head, ...prompt.slice(-20)], chosen, rejected])
      assert.strictEqual(report.lost.prompt, prompt.length - head.length - 20)
      const none = await run([one], tokenizer, { maxLength: maxLength - 20, truncation: "leftOfPrompt" })
      assert.deepStrictEqual(none.report.dropped, { "no room for the prompt": ["r"] })
    }
  })

  it("finds a system turn that a template writes inside the first user turn", async () => {
    const merged = await variant("merged", {
      chat_template:
        "{% if messages[0].role == 'system' %}{% if messages | length == 1 %}{{ raise_exception('alone') }}{% endif %}" +
        "{{ '[[' + messages[0].content + ']]' }}{% endif %}{% for m in messages %}{% if m.role != 'system' %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
    })
    const one = pair([system("Be brief."), user("many words ".repeat(30))], [assistant("yes")], [assistant("no")])
    const { groups } = await run([one], merged, { maxLength: 40, truncation: "leftOfPrompt" })
    const prompt = merged.decode(partsOf(groups, 0)[0]!)
    assert.isTrue(prompt.startsWith("<s> [[Be brief."), prompt)
    assert.isTrue(prompt.endsWith("words </s>"), prompt)
  })
})
