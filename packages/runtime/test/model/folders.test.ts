// Hugging Face folders: every way in which one can be wrong is a typed error that names the file and the field or tensor.
import { assert, describe, it } from "@effect/vitest"
import type { ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { pack } from "../../src/compute/Batch.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { decodeSafetensors, encodeSafetensors, type Tensor } from "../../src/data/safetensors.ts"
import { architecture } from "../../src/model/families.ts"
import { loadModel } from "../../src/model/load.ts"
import { configOf, saveModel, saveWeights } from "../../src/model/save.ts"
import { readJson, references, stories, tinyLlama, tokenGroups } from "../compute/fixtures.ts"

const source = fileURLToPath(new URL("models/llama/", references))
const config = readJson(new URL("models/llama/config.json", references))
const weights = fs.readFileSync(path.join(source, "model.safetensors"))
const { tensors } = Result.getOrThrow(decodeSafetensors(weights, "model.safetensors"))

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "penchant-model-"))),
  (dir) => Effect.sync(() => fs.rmSync(dir, { recursive: true }))
)

/** Loads a folder of these files. */
const loading = (files: Readonly<Record<string, string | Uint8Array>>) =>
  Effect.scoped(Effect.gen(function*() {
    const dir = yield* directory
    for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), content)
    return yield* loadModel(dir)
  }))
const folder = (changed: object, file: Uint8Array = weights) =>
  loading({ "config.json": JSON.stringify({ ...config, ...changed }), "model.safetensors": file })

/** The failure as "file part: problem". */
const failure = (effect: Effect.Effect<unknown, ModelError>) =>
  Effect.map(Effect.flip(effect), (error) => {
    const part = error._tag === "BadModel" ? ` ${error.part}` : ""
    return `${error._tag} ${path.basename(error.file)}${part}: ${error.problem}`
  })

const without = (name: string) => Object.fromEntries(Object.entries(tensors).filter(([key]) => key !== name))
const q = "model.layers.0.self_attn.q_proj.weight"

describe("loading", () => {
  it.effect("takes tensors in the family's order, as float32", () =>
    Effect.gen(function*() {
      const model = yield* loadModel(source)
      assert.deepStrictEqual(model.config, config)
      assert.strictEqual(model.names[0], "model.embed_tokens.weight")
      assert.strictEqual(model.names.at(-1), "lm_head.weight")
      assert.strictEqual(model.parameters.length, 55_968)
      let at = 0
      model.names.forEach((name, i) => {
        const tensor = tensors[name]!
        assert.deepStrictEqual(model.shapes[i], tensor.shape)
        assert.deepStrictEqual(model.parameters.subarray(at, at + tensor.data.length), tensor.data as Float32Array)
        at += tensor.data.length
      })
      const small = yield* loadModel(fileURLToPath(stories))
      assert.strictEqual(small.parameters.length, 260_032)
    }))

  it.effect("takes shards by their index", () =>
    Effect.gen(function*() {
      const names = Object.keys(tensors)
      const part = (k: number) => Object.fromEntries(names.filter((_, i) => i % 2 === k).map((n) => [n, tensors[n]!]))
      const model = yield* loading({
        "config.json": JSON.stringify(config),
        "a.safetensors": encodeSafetensors(part(0)),
        "b.safetensors": encodeSafetensors(part(1)),
        "model.safetensors.index.json": JSON.stringify({
          weight_map: Object.fromEntries(names.map((n, i) => [n, i % 2 === 0 ? "a.safetensors" : "b.safetensors"]))
        })
      })
      assert.deepStrictEqual(model.parameters, (yield* loadModel(source)).parameters)
    }))

  it.effect("converts half floats exactly", () =>
    Effect.gen(function*() {
      const name = "model.norm.weight"
      const halves = (dtype: "F16" | "BF16", ...bits: ReadonlyArray<number>) => {
        const data = new Uint16Array(32)
        data.set(bits)
        return encodeSafetensors({ ...tensors, [name]: { dtype, shape: [32], data } as Tensor })
      }
      const first = (model: { readonly parameters: Float32Array | Float64Array }) => {
        const from = model.parameters.length - 512 * 32 - 32
        return Array.from(model.parameters.subarray(from, from + 6))
      }
      // 1, -2, 65504 (largest), 2^-24 (smallest), -2^-14 (smallest normal), 1/3 rounded.
      const f16 = yield* folder({}, halves("F16", 0x3c00, 0xc000, 0x7bff, 0x0001, 0x8400, 0x3555))
      assert.deepStrictEqual(first(f16), [1, -2, 65_504, 2 ** -24, -(2 ** -14), 0.333251953125])
      // 1, -2, 3.140625, largest, 2^-133 (smallest subnormal), 0.
      const bf16 = yield* folder({}, halves("BF16", 0x3f80, 0xc000, 0x4049, 0x7f7f, 0x0001, 0))
      assert.deepStrictEqual(first(bf16), [1, -2, 3.140625, 255 * 2 ** 120, 2 ** -133, 0])
      assert.strictEqual(
        yield* failure(folder({}, halves("BF16", 0x3f80, 0x7f80))),
        `BadModel model.safetensors ${name}: holds Infinity at element 1`
      )
      assert.strictEqual(
        yield* failure(folder({}, halves("F16", 0x7e00))),
        `BadModel model.safetensors ${name}: holds NaN at element 0`
      )
    }))

  it.effect("ignores what published files carry without use", () =>
    Effect.gen(function*() {
      const more = encodeSafetensors({
        ...tensors,
        "model.layers.0.self_attn.rotary_emb.inv_freq": { dtype: "F32", shape: [1], data: Float32Array.of(1) }
      })
      assert.strictEqual((yield* folder({}, more)).names.length, Object.keys(tensors).length)
      // A tied head: the file's copy of it is not a tensor of its own.
      assert.notInclude((yield* folder({ tie_word_embeddings: true })).names, "lm_head.weight")
    }))

  const configs: ReadonlyArray<readonly [object, string]> = [
    [{ architectures: ["GrokForCausalLM"] }, `architectures: names "GrokForCausalLM"; supported are`],
    [{ architectures: ["toString"] }, `architectures: names "toString"`],
    [{ architectures: [] }, "architectures"],
    [{ hidden_size: undefined }, "hidden_size: is missing"],
    [{ rms_norm_eps: undefined }, "rms_norm_eps: is missing"],
    [{ vocab_size: "512" }, "vocab_size: is wrong: expected number"],
    [{ num_hidden_layers: 0 }, "num_hidden_layers: is wrong"],
    [{ num_key_value_heads: 3 }, "num_key_value_heads: is 3, which does not divide 4 heads"],
    [{ head_dim: 7 }, "head_dim: is 7"],
    [{ hidden_act: "gelu" }, `hidden_act: is "gelu"; supported is silu`],
    [{ attention_bias: true }, "model.layers.0.self_attn.q_proj.bias: is missing"],
    [{ mlp_bias: true }, "model.layers.0.mlp.gate_proj.bias: is missing"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor: is 0.5; supported is 1"],
    [{ rope_scaling: { type: "dynamic" } }, "rope_scaling.factor: is missing"],
    [{ rope_scaling: { rope_type: "llama3", factor: 2 } }, "rope_scaling.low_freq_factor: is missing"],
    [{ rope_parameters: { rope_type: "su" } }, `rope_parameters.rope_type: is "su"`],
    [{ rope_parameters: { rope_type: "yarn" } }, "rope_parameters.factor: is missing"],
    [{ quantization_config: { quant_method: "gptq" } }, "quantization_config: says that the weights are quantised"],
    [{ vocab_size: 511 }, "model.embed_tokens.weight: has shape [512,32]; the config says [511,32]"],
    [{ num_hidden_layers: 1 }, "model.layers.1.input_layernorm.weight: is no tensor of the architecture"],
    [{ num_hidden_layers: 3 }, "model.layers.2.input_layernorm.weight: is missing"]
  ]
  for (const [change, expected] of configs) {
    it.effect(`refuses a config with ${JSON.stringify(change)}`, () =>
      Effect.map(failure(folder(change)), (text) => {
        assert.match(text, /^BadModel (config\.json|model\.safetensors) /)
        assert.include(text, expected)
      }))
  }

  const edit = (at: number, ...bytes: ReadonlyArray<number>) => {
    const copy = Uint8Array.from(weights)
    copy.set(bytes, at)
    return copy
  }
  const header = JSON.parse(weights.subarray(8, 8 + Number(weights.readBigUInt64LE(0))).toString())
  /** The file with its header changed, the tensors' bytes as they were. */
  const rewrite = (change: (header: Record<string, { data_offsets: Array<number> }>) => void) => {
    const copy = structuredClone(header)
    change(copy)
    const json = new TextEncoder().encode(JSON.stringify(copy))
    const file = new Uint8Array(8 + json.length + 223_872)
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
    file.set(json, 8)
    return file
  }
  const files: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["no tensor q_proj", encodeSafetensors(without(q)), `BadModel model.safetensors ${q}: is missing`],
    [
      "float64 weights",
      encodeSafetensors({ ...tensors, [q]: { dtype: "F64", shape: [32, 32], data: new Float64Array(1024) } }),
      `BadModel model.safetensors ${q}: has dtype F64; supported are F32, BF16 and F16`
    ],
    [
      "a transposed shape",
      encodeSafetensors({
        ...tensors,
        "lm_head.weight": { dtype: "F32", shape: [32, 512], data: new Float32Array(16_384) }
      }),
      "BadModel model.safetensors lm_head.weight: has shape [32,512]; the config says [512,32]"
    ],
    [
      "an unknown tensor",
      encodeSafetensors({ ...tensors, extra: { dtype: "F32", shape: [1], data: Float32Array.of(1) } }),
      "BadModel model.safetensors extra: is no tensor of the architecture that the config names"
    ],
    [
      "a truncated file",
      weights.subarray(0, weights.length - 4),
      "BadFile model.safetensors: not a valid safetensors file"
    ],
    ["an empty file", new Uint8Array(0), "BadFile model.safetensors: not a valid safetensors file"],
    ["a header length beyond the file", edit(0, 255, 255, 255, 255, 255, 255, 255, 255), "BadFile model.safetensors"],
    ["a header length that is too short", edit(0, 9, 0), "BadFile model.safetensors"],
    [
      "overlapping tensors",
      rewrite((h) => {
        const [first, second] = Object.keys(h).filter((name) => name !== "__metadata__")
        h[first!]!.data_offsets = h[second!]!.data_offsets
      }),
      "BadFile model.safetensors"
    ]
  ]
  for (const [what, file, expected] of files) {
    it.effect(`refuses ${what}`, () => Effect.map(failure(folder({}, file)), (text) => assert.include(text, expected)))
  }

  it.effect("says which file is missing or not JSON", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* failure(loading({})), "BadFile config.json: no such file")
      assert.include(yield* failure(loading({ "config.json": "{" })), "BadFile config.json: not JSON")
      assert.include(
        yield* failure(loading({ "config.json": JSON.stringify(config) })),
        "BadFile model.safetensors: no such file"
      )
      for (const name of ["pytorch_model.bin", "pytorch_model.bin.index.json"]) {
        const error = yield* Effect.flip(loading({ "config.json": JSON.stringify(config), [name]: "" }))
        assert.include(error.message, `(${name} is not read, since it can run code: load it with transformers once and`)
      }
      assert.include(
        yield* failure(loading({ "adapter_config.json": "{}" })),
        "BadFile adapter_config.json: makes this an adapter, without the weights that it stands beside"
      )
    }))
})

describe("configs", () => {
  const frequencies = (changed: object) => {
    const { graph } = Result.getOrThrow(architecture({ ...config, ...changed })).forward()
    const table = graph.inputs.find(({ source }) => source.kind === "table")!.source
    return table.kind === "table" ? table.frequencies : []
  }

  it("old and new style say the same", () => {
    const { rope_scaling, rope_theta, torch_dtype, ...rest } = config
    const fresh = { ...rest, dtype: torch_dtype, rope_parameters: { ...rope_scaling, rope_theta } }
    const read = (json: object) => Result.getOrThrow(architecture(json)).forward().graph
    assert.deepStrictEqual(read(fresh), read(config))
  })

  it("rotary frequencies by hand", () => {
    const plain = [1, 0.1, 0.01, 0.001]
    const close = (got: ReadonlyArray<number>, expected: ReadonlyArray<number>) =>
      got.forEach((x, i) => assert.closeTo(x / expected[i]!, 1, 1e-12))
    close(frequencies({ rope_scaling: null }), plain)
    close(frequencies({ rope_scaling: { type: "linear", factor: 4 } }), plain.map((x) => x / 4))
    // 32 positions hold 32 f / 2π waves: 5.09 > 4 keeps f; 0.509 and less, below 1, divide it by 8.
    close(frequencies({}), [1, 0.1 / 8, 0.01 / 8, 0.001 / 8])
    // Between the factors: 5.09 waves of 1..9 keep 0.5116 of f.
    const keep = (32 / (2 * Math.PI) - 1) / 8
    close(
      frequencies({ rope_scaling: { ...config.rope_scaling, high_freq_factor: 9 } }).slice(0, 1),
      [keep + (1 - keep) / 8]
    )
  })

  it("reports a dropout that training does not honour", () => {
    const ignored = (change: object) => Result.getOrThrow(architecture({ ...config, ...change })).ignored
    assert.deepStrictEqual(ignored({ attention_dropout: 0.1 }), ["attention_dropout 0.1"])
    assert.deepStrictEqual(ignored({}), [])
  })
})

describe("saving", () => {
  it.effect("a folder that loads to the same model, tokenizer's files included", () =>
    Effect.scoped(Effect.gen(function*() {
      const dir = path.join(yield* directory, "deep", "folder")
      const model = yield* loadModel(fileURLToPath(stories))
      yield* saveModel(dir, model, { tokenizer: fileURLToPath(stories) })
      const again = yield* loadModel(dir)
      assert.deepStrictEqual(again, model)
      assert.deepStrictEqual(fs.readdirSync(dir).toSorted(), [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      assert.deepStrictEqual(
        fs.readFileSync(path.join(dir, "tokenizer.json")),
        fs.readFileSync(new URL("tokenizer.json", stories))
      )
    })))

  it.effect("float64 weights become float32, and the config says so", () =>
    Effect.scoped(Effect.gen(function*() {
      const [dir, model] = [yield* directory, tinyLlama(1, { torch_dtype: "bfloat16" })]
      yield* saveModel(dir, model)
      const bytes = (name: string) => fs.readFileSync(path.join(dir, name))
      assert.strictEqual(JSON.parse(bytes("config.json").toString()).torch_dtype, "float32")
      const { metadata, tensors } = Result.getOrThrow(
        decodeSafetensors(bytes("model.safetensors"), "model.safetensors")
      )
      assert.deepStrictEqual(metadata, { format: "pt" })
      const embedding = tensors["model.embed_tokens.weight"]!
      assert.deepStrictEqual(embedding.shape, [23, 12])
      assert.deepStrictEqual(embedding.data, Float32Array.from(model.parameters.subarray(0, 23 * 12)))
      // Equal models, equal bytes; the digest is of them.
      const again = path.join(dir, "again.safetensors")
      const digest = yield* Effect.promise(() => saveWeights(again, model))
      assert.isTrue(bytes("again.safetensors").equals(bytes("model.safetensors")))
      assert.isTrue(bytes("model.safetensors").equals(encodeSafetensors(tensors, metadata)))
      assert.strictEqual(digest, createHash("sha256").update(bytes("again.safetensors")).digest("hex"))
    })))

  it("a config's numbers are written as they were read", () => {
    const text = `{"final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06, "torch_dtype": "bfloat16", "n": [1, 2.50]}`
    assert.strictEqual(
      configOf(text, "float32").replaceAll(/\s+/g, " "),
      `{ "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06, "torch_dtype": "float32", "n": [ 1, 2.50 ] } `
    )
    assert.deepStrictEqual(JSON.parse(configOf(`{"dtype": "float16", "torch_dtype": "float16"}`, "bfloat16")), {
      dtype: "bfloat16",
      torch_dtype: "bfloat16"
    })
    assert.deepStrictEqual(JSON.parse(configOf("{}", "float16")), { dtype: "float16" })
  })

  it.effect("says where it cannot write", () =>
    Effect.scoped(Effect.gen(function*() {
      const dir = yield* directory
      fs.writeFileSync(path.join(dir, "file"), "")
      const error = yield* Effect.flip(saveModel(path.join(dir, "file", "below"), tinyLlama(1)))
      assert.strictEqual(error._tag, "StoreError")
      assert.include(error.path, "below")
    })))
})

describe("a batch beyond the model", () => {
  it("a token outside the vocabulary is refused, not read from elsewhere", async () => {
    const session = await (await start({})).open(tinyLlama(1), {})
    const batch = pack(tokenGroups([{ prompt: [1], branches: [[23, 2]] }]), [0])
    await session.score(batch).then(
      () => assert.fail("scored"),
      (error: Error) => assert.include(error.message, "token 23 is outside the vocabulary of 23")
    )
  })
})
