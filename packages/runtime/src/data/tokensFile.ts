// Token groups as the two files of an artifact: `tokens.safetensors` and `ids.json`. Everything read is checked, since
// an offset that is off by one would train on the wrong tokens in silence.
import { BadFile } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import type { TokenGroups } from "../compute/Batch.ts"
import { type Arrays, decodeSafetensors, encodeSafetensors, type Tensor } from "./safetensors.ts"

/** Contents of an artifact by file name. */
export interface TokensFiles {
  readonly "tokens.safetensors": Uint8Array
  readonly "ids.json": Uint8Array
}

const column = "column."

/** The files of a set of groups; equal groups give equal bytes. */
export const encodeTokens = (groups: TokenGroups): TokensFiles => {
  const ints = (data: Int32Array): Tensor => ({ dtype: "I32", shape: [data.length], data })
  const branches = groups.sides.length
  const tensors: Record<string, Tensor> = {
    tokens: ints(groups.tokens),
    offsets: ints(groups.offsets),
    promptLength: ints(groups.promptLength),
    branchLength: { dtype: "I32", shape: [groups.ids.length, branches], data: groups.branchLength }
  }
  for (const [name, data] of Object.entries(groups.columns)) {
    tensors[`${column}${name}`] = { dtype: "F64", shape: [data.length], data }
  }
  return {
    "tokens.safetensors": encodeSafetensors(tensors, { sides: JSON.stringify(groups.sides) }),
    "ids.json": new TextEncoder().encode(JSON.stringify(groups.ids))
  }
}

const strings = (text: string | undefined): ReadonlyArray<string> | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? "")
    return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined
  } catch {
    return undefined
  }
}

const tensorIn = <D extends "I32" | "F64">(
  tensors: Readonly<Record<string, Tensor>>,
  name: string,
  dtype: D
): Arrays[D] | undefined => {
  const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined
  return tensor?.dtype === dtype ? tensor.data as Arrays[D] : undefined
}

/** What is inconsistent about groups, in words; undefined when they are sound. */
export const unsound = (groups: TokenGroups): string | undefined => {
  const { branchLength, columns, ids, offsets, promptLength, sides, tokens } = groups
  const [count, width] = [ids.length, sides.length]
  if (width === 0) return "there are no sides"
  if (promptLength.length !== count || branchLength.length !== count * width || offsets.length !== count + 1) {
    return `${count} ids, but ${promptLength.length} prompts, ${branchLength.length} branches and ${offsets.length} offsets`
  }
  if (new Set(ids).size !== count) return "two groups have one id"
  if (offsets[0] !== 0 || offsets[count] !== tokens.length) {
    return `offsets run from ${offsets[0]} to ${offsets[count]}, tokens from 0 to ${tokens.length}`
  }
  for (let g = 0; g < count; g++) {
    let length = promptLength[g]!
    let shortest = length
    for (let b = 0; b < width; b++) {
      length += branchLength[g * width + b]!
      shortest = Math.min(shortest, branchLength[g * width + b]!)
    }
    if (shortest < 1) return `group ${ids[g]} has a part without tokens`
    if (offsets[g + 1]! - offsets[g]! !== length) {
      return `group ${ids[g]} has ${length} tokens by its parts, ${offsets[g + 1]! - offsets[g]!} by its offsets`
    }
  }
  const negative = tokens.findIndex((id) => id < 0)
  if (negative !== -1) return `token ${negative} is ${tokens[negative]}`
  for (const [name, values] of Object.entries(columns)) {
    if (values.length !== count) return `column "${name}" has ${values.length} values for ${count} groups`
  }
  return undefined
}

/** The groups in the files; `file` names the safetensors file in messages. */
export const decodeTokens = (files: TokensFiles, file: string): Result.Result<TokenGroups, BadFile> =>
  Result.flatMap(decodeSafetensors(files["tokens.safetensors"], file), ({ metadata, tensors }) => {
    const bad = (problem: string) => Result.fail(new BadFile({ file, problem: `not a token file: ${problem}` }))
    const ints: Record<string, Int32Array> = {}
    for (const name of ["tokens", "offsets", "promptLength", "branchLength"]) {
      const data = tensorIn(tensors, name, "I32")
      if (data === undefined) return bad(`there is no int32 tensor "${name}"`)
      ints[name] = data
    }
    const columns: Record<string, Float64Array> = {}
    for (const name of Object.keys(tensors).filter((name) => name.startsWith(column))) {
      const data = tensorIn(tensors, name, "F64")
      if (data === undefined) return bad(`"${name}" is not float64`)
      columns[name.slice(column.length)] = data
    }
    const sides = strings(metadata["sides"])
    if (sides === undefined) return bad("the metadata names no sides")
    const ids = strings(new TextDecoder().decode(files["ids.json"]))
    if (ids === undefined) return bad("ids.json is no list of texts")
    const groups: TokenGroups = {
      tokens: ints["tokens"]!,
      offsets: ints["offsets"]!,
      promptLength: ints["promptLength"]!,
      branchLength: ints["branchLength"]!,
      sides,
      ids,
      columns
    }
    const problem = unsound(groups)
    return problem === undefined ? Result.succeed(groups) : bad(problem)
  })

/** Log-probabilities of all completion tokens, in nats: by group, then branch, then position. */
export const encodeLogProbs = (logProbs: Float64Array): Uint8Array =>
  encodeSafetensors({ logProbs: { dtype: "F64", shape: [logProbs.length], data: logProbs } })

/** `count` is the completion tokens of the groups that were scored: another number means other tokens. */
export const decodeLogProbs = (bytes: Uint8Array, count: number, file: string): Result.Result<Float64Array, BadFile> =>
  Result.flatMap(decodeSafetensors(bytes, file), ({ tensors }) => {
    const data = tensorIn(tensors, "logProbs", "F64")
    if (data === undefined) return Result.fail(new BadFile({ file, problem: `there is no float64 tensor "logProbs"` }))
    return data.length === count
      ? Result.succeed(data)
      : Result.fail(new BadFile({ file, problem: `${data.length} log-probabilities for ${count} completion tokens` }))
  })

/** Completion tokens of all branches: the length of their log-probabilities. */
export const completionTokens = (groups: TokenGroups): number =>
  groups.branchLength.reduce((sum, length) => sum + length, 0)
