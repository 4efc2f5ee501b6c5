// Which tensors a recipe trains: adapters beside the weights, or the weights that no pattern freezes. What stays as it is comes
// first in the model's state, so that gradients and moments are of its end alone.
import { seed as streamOf } from "@penchant/dsl/Identity"
import type { Recipe } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import picomatch from "picomatch"
import type { ModelState } from "../compute/Engine.ts"
import { placesOf } from "../compute/places.ts"
import { random } from "../platform/random.ts"
import { architecture } from "./families.ts"
import type { ConfigProblem } from "./Family.ts"
import { refuse } from "./fields.ts"
import { adapts, isAdapter } from "./lora.ts"
import { didYouMean } from "./suggest.ts"

type Layout = Omit<ModelState, "parameters">
type Choice = Pick<Recipe, "lora" | "freeze">

/** Of a model with these tensors, what the recipe makes of it. Problems name the recipe's field. */
export const layoutFor = (base: Layout, { freeze, lora }: Choice): Result.Result<Layout, ConfigProblem> =>
  Result.gen(function*() {
    if (lora === undefined && freeze === undefined) return base
    let tensors = base.names.map((name, i) => ({ name, shape: base.shapes[i]!, frozen: lora !== undefined }))
    if (lora !== undefined) {
      const { forward } = yield* architecture(base.config)
      const { layers, weights } = forward(lora)
      const missing = lora.targets === "all-linear"
        ? undefined
        : lora.targets.find((target) => !layers.some(({ name }) => adapts({ ...lora, targets: [target] }, name)))
      if (missing !== undefined) {
        const known = [...new Set(layers.map(({ name }) => name.split(".").at(-1)!))]
        const names = missing.includes(".") ? layers.map(({ name }) => name) : known
        return yield* refuse(
          "recipe.lora.targets",
          `names "${missing}", which no linear layer is called${didYouMean(missing, names)}; there are ${
            known.join(", ")
          }`
        )
      }
      const added = weights.filter(({ name }) => isAdapter(name))
      tensors = [
        ...tensors,
        ...added.map(({ name, shape }) => ({ name, shape: shape.map(Number), frozen: false }))
      ]
    }
    for (const pattern of freeze ?? []) {
      const matches = picomatch(pattern)
      if (!tensors.some(({ name }) => matches(name))) {
        const names = tensors.map(({ name }) => name)
        const near = didYouMean(pattern, names)
        return yield* refuse(
          "recipe.freeze",
          `has "${pattern}", which matches no tensor${near === "" ? `, such as ${names[0]}` : near}`
        )
      }
      tensors = tensors.map((tensor) => matches(tensor.name) ? { ...tensor, frozen: true } : tensor)
    }
    const frozen = tensors.filter((tensor) => tensor.frozen)
    const trained = tensors.filter((tensor) => !tensor.frozen)
    if (trained.length === 0) {
      return yield* refuse("recipe.freeze", `leaves no tensor to train: ${freeze?.join(", ")} match all`)
    }
    const ordered = [...frozen, ...trained]
    return {
      config: base.config,
      names: ordered.map(({ name }) => name),
      shapes: ordered.map(({ shape }) => shape),
      frozen: frozen.length,
      ...(lora === undefined ? {} : { adapter: lora })
    }
  })

/** Adapters begin as the layer was: A uniform within 1 / sqrt(in) from a stream of its own, B zero. */
const initial = (name: string, [rows, columns]: ReadonlyArray<number>, seed: number): Float32Array => {
  const values = new Float32Array(rows! * columns!)
  if (name.endsWith(".lora_B.weight")) return values
  const draw = random(streamOf(seed, `lora/${name}`))
  return values.map(() => (draw() / 2 ** 31 - 1) / Math.sqrt(columns!))
}

export const trainable = (
  model: ModelState,
  recipe: Choice & Pick<Recipe, "seed">
): Result.Result<ModelState, ConfigProblem> =>
  Result.map(layoutFor(model, recipe), (layout) => {
    if (layout === model) return model
    const before = new Map(
      placesOf(model).map(({ from, name, size }) => [name, model.parameters.subarray(from, from + size)])
    )
    const places = placesOf(layout)
    const last = places.at(-1)!
    const Vector = model.parameters instanceof Float32Array ? Float32Array : Float64Array
    const parameters = new Vector(last.from + last.size)
    for (const { from, name, shape } of places) {
      parameters.set(before.get(name) ?? initial(name, shape, recipe.seed), from)
    }
    return { ...layout, parameters }
  })
