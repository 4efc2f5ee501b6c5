import { Tokenizer as Library } from "@huggingface/tokenizers"
import { chatTemplate } from "@penchant/runtime/data/chatTemplate"
import { libraryTokenizer } from "@penchant/runtime/data/libraryTokenizer"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import { cacheWords } from "@penchant/runtime/data/wordCache"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { minimind, normalised, reference, stories260K } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "tokenizer-"))
afterAll(() => rmSync(directory, { recursive: true }))
const load = (path: string) => Effect.runPromise(loadTokenizer(path))
const folders: Record<string, string> = { stories260K, minimind }
const tokenizers = { stories260K: await load(stories260K), minimind: await load(minimind) }

describe("loadTokenizer", () => {
  it("remembers words without changing an id: real text, with and without a pre-tokenizer", () => {
    for (const [name, path] of Object.entries(folders)) {
      const json = (file: string): object => JSON.parse(readFileSync(join(path, file), "utf8"))
      const plain = new Library(json("tokenizer.json"), json("tokenizer_config.json"))
      const { encode } = tokenizers[name as keyof typeof tokenizers]
      for (const { chosen, prompt, rejected } of normalised.pairs.slice(0, 150)) {
        for (const text of [String(prompt), String(chosen), String(rejected), `▁▁ ${String(chosen)} \ufffd▁`]) {
          const expected = plain.encode(text, { add_special_tokens: false }).ids
          assert.deepStrictEqual(encode(text, false), expected)
          assert.deepStrictEqual(encode(text, false), expected, "a second time, from the cache")
        }
      }
    }
  })

  it("cuts words before merging only where no merge reaches across", () => {
    const bpe = (merges: ReadonlyArray<string>) => ({
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model: {
        type: "BPE",
        merges,
        vocab: Object.fromEntries(
          ["a", "b", "▁", ...merges.map((merge) => merge.replace(" ", ""))].map((token, id) => [token, id])
        )
      }
    })
    const words = (merges: ReadonlyArray<string>, text: string) => {
      const plain = new Library(bpe(merges), {})
      const cached = libraryTokenizer(bpe(merges), {})
      cacheWords(cached.model)
      const tokens = cached.model.encode([text])
      assert.deepStrictEqual(tokens, plain.tokenize(text), text)
      return tokens
    }
    assert.deepStrictEqual(words(["▁ ▁", "▁ a", "▁▁ a"], "ab▁▁▁a▁b"), ["a", "b", "▁▁", "▁a", "▁", "b"])
    assert.deepStrictEqual(words(["a ▁", "▁ a"], "a▁a▁▁b"), ["a▁", "a▁", "▁", "b"])
    assert.deepStrictEqual(words(["b ▁", "b▁ a"], "ab▁aa"), ["a", "b▁a", "a"])
  })

  it("knows the special tokens", () => {
    const { minimind, stories260K } = tokenizers
    assert.deepStrictEqual(
      [stories260K.bos, stories260K.eos, stories260K.vocabSize, stories260K.addsBos, stories260K.textHasBos],
      [1, 2, 512, true, true]
    )
    assert.deepStrictEqual([...stories260K.special], [0, 1, 2])
    assert.deepStrictEqual(
      [minimind.bos, minimind.eos, minimind.vocabSize, minimind.addsBos, minimind.textHasBos],
      [1, 2, 6400, false, false]
    )
    assert.strictEqual(minimind.piece(2), "<|im_end|>")
    assert.strictEqual(stories260K.decode([]), "")
    assert.strictEqual(stories260K.decode(Int32Array.of(1, 2)), "<s></s>")
  })

  const without = (change: (folder: string) => void): string => {
    const folder = mkdtempSync(join(directory, "t-"))
    cpSync(stories260K, folder, { recursive: true, filter: (path) => !path.endsWith(".safetensors") })
    change(folder)
    return folder
  }
  const config = (folder: string, change: (config: Record<string, unknown>) => void): void => {
    const path = join(folder, "tokenizer_config.json")
    const value: Record<string, unknown> = JSON.parse(readFileSync(path, "utf8"))
    change(value)
    writeFileSync(path, JSON.stringify(value))
  }
  const failure = async (folder: string) => {
    const result = await Effect.runPromise(Effect.result(loadTokenizer(folder)))
    if (Result.isSuccess(result)) throw new Error("loaded")
    assert.strictEqual(result.failure._tag, "BadFile")
    return `${result.failure.file.slice(folder.length + 1)}: ${result.failure.problem}`
  }

  it("says which file is missing or wrong", async () => {
    const none = "no such file, nor a tokenizer.model"
    assert.strictEqual(await failure(join(directory, "none")), `tokenizer.json: ${none}`)
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      const problem = file === "tokenizer.json" ? none : "no such file"
      assert.strictEqual(await failure(without((folder) => rmSync(join(folder, file)))), `${file}: ${problem}`)
      assert.strictEqual(
        await failure(without((folder) => writeFileSync(join(folder, file), `{"a":1`))),
        `${file}: malformed JSON at character 6: the text ends too early`
      )
      assert.strictEqual(
        await failure(without((folder) => writeFileSync(join(folder, file), "[]"))),
        `${file}: holds no JSON object`
      )
    }
    assert.match(
      await failure(without((folder) => writeFileSync(join(folder, "tokenizer.json"), "{}"))),
      /^tokenizer.json: cannot be used: /
    )
    assert.strictEqual(
      await failure(without((folder) => config(folder, (c) => (c["eos_token"] = "<eos>")))),
      `tokenizer_config.json: eos_token "<eos>" is not in the vocabulary`
    )
  })

  it("reads special tokens where older folders keep them", async () => {
    const folder = without((folder) => {
      config(folder, (c) => {
        delete c["eos_token"]
        c["bos_token"] = { content: "<s>", special: true }
      })
      writeFileSync(join(folder, "special_tokens_map.json"), JSON.stringify({ eos_token: "</s>" }))
    })
    const { bos, eos } = await load(folder)
    assert.deepStrictEqual([bos, eos], [1, 2])
  })

  it("takes the template from its own file, from a list, or says that there is none", async () => {
    const render = async (change: (folder: string) => void) =>
      Result.flatMap(
        (await load(without(change))).chatTemplate(),
        (template) => template.render([{ role: "user", content: "u" }], true)
      )
    assert.deepStrictEqual(
      await render((folder) =>
        writeFileSync(join(folder, "chat_template.jinja"), "{{ messages[0].content }}{{ eos_token }}")
      ),
      Result.succeed("u</s>")
    )
    const list = [{ name: "tool_use", template: "t" }, { name: "default", template: "d" }]
    assert.deepStrictEqual(
      await render((folder) => config(folder, (c) => (c["chat_template"] = list))),
      Result.succeed("d")
    )
    const none = await render((folder) => config(folder, (c) => delete c["chat_template"]))
    assert.isTrue(
      Result.isFailure(none) && typeof none.failure !== "string" &&
        none.failure.problem === "has no chat_template, which rows of messages need"
    )
    const broken = await render((folder) => config(folder, (c) => (c["chat_template"] = "{% for %}")))
    assert.isTrue(
      Result.isFailure(broken) && typeof broken.failure !== "string" &&
        broken.failure.problem.startsWith("the chat template cannot be parsed: ")
    )
  })
})

describe("chatTemplate", () => {
  interface Rendered {
    readonly tokenizer: "stories260K" | "minimind"
    readonly messages: ReadonlyArray<{ readonly role: string; readonly content: string }>
    readonly add_generation_prompt: boolean
    readonly rendered: string
  }
  const rendered: ReadonlyArray<Rendered> = JSON.parse(
    readFileSync(reference("tokenizers/chat-template-vectors.json"), "utf8")
  )
  const withTools: ReadonlyArray<Rendered & { readonly tools: ReadonlyArray<unknown> }> = JSON.parse(
    readFileSync(reference("tokenizers/tools-template-vectors.json"), "utf8")
  )

  it("renders as transformers does", () => {
    assert.strictEqual(rendered.length, 12)
    for (const { add_generation_prompt, messages, rendered: expected, tokenizer } of rendered) {
      const template = Result.getOrThrow(tokenizers[tokenizer].chatTemplate())
      assert.strictEqual(Result.getOrThrow(template.render(messages, add_generation_prompt)), expected)
    }
    assert.strictEqual(withTools.length, 3)
    for (const { add_generation_prompt, messages, rendered: expected, tokenizer, tools } of withTools) {
      const template = Result.getOrThrow(tokenizers[tokenizer].chatTemplate())
      assert.strictEqual(Result.getOrThrow(template.render(messages, add_generation_prompt, tools)), expected)
    }
  })

  const render = (source: string) =>
    Result.flatMap(
      chatTemplate(source, { bos_token: "<s>" }),
      (template) => template.render([{ role: "user", content: "u" }], false)
    )

  it("gives templates what transformers gives, except the clock", () => {
    assert.deepStrictEqual(
      render("{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}no clock{% endif %}"),
      Result.succeed("no clock")
    )
    assert.deepStrictEqual(
      render("{{ bos_token }}{% for i in range(1, 6, 2) %}{{ i }}{% endfor %}{{ range(2) | length }}"),
      Result.succeed("<s>1352")
    )
    assert.deepStrictEqual(
      render("{% if tools %}t{% endif %}{{ none is none }}{{ True }}{{ false }}"),
      Result.succeed("truetruefalse")
    )
  })

  it("begins every rendering anew, and knows which names are nobody's", () => {
    const source =
      "{{ unheard_of is defined }}{{ later is defined }}{% set later = 1 %}{% set bos_token = bos_token ~ '!' %}" +
      "{{ later }}{{ bos_token }}{{ unheard_of or 'none' }}{{ namespace(a=2).a }}"
    const { render } = Result.getOrThrow(chatTemplate(source, { bos_token: "<s>" }))
    for (let time = 0; time < 2; time++) {
      assert.strictEqual(Result.getOrThrow(render([], false)), "falsefalse1<s>!none2")
    }
  })

  it("strips the characters named, as Python does", () => {
    const stripped = (expression: string) => Result.getOrThrow(render(`{{ '[' + ${expression} + ']' }}`))
    assert.strictEqual(stripped(String.raw`'\n a \n'.lstrip('\n')`), "[ a \n]")
    assert.strictEqual(stripped(String.raw`'\n a \n'.rstrip('\n')`), "[\n a ]")
    assert.strictEqual(stripped(String.raw`'xyaxy'.strip('yx').strip('a')`), "[]")
    assert.strictEqual(stripped(String.raw`'\n a \n'.strip()`), "[a]")
    assert.strictEqual(stripped("'😀a😀'.strip('😀')"), "[a]")
  })

  it("gives the template's own reason for refusing", () => {
    assert.deepStrictEqual(
      render("{{ raise_exception('roles must alternate') }}"),
      Result.fail("the chat template refuses the messages: roles must alternate")
    )
    assert.isTrue(Result.isFailure(render("{{ strftime_now('%d') }}")))
    assert.isTrue(Result.isFailure(render("{{ messages[0].content | nope }}")))
  })
})
