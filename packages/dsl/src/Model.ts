// Pretrained weights with their tokenizer: a Hugging Face folder on disk, or a model of the Hub.
// The phantom `M` names the tokenizer, so tokens of one model cannot reach another: hence literals only.
import type { Weights } from "./Artifact.ts"
import type { HubError, ModelError } from "./Errors.ts"
import { formatReference } from "./Reference.ts"
import { make, type Step } from "./Step.ts"

type Literal<M extends string> = string extends M ? "a computed id: use Model.named(\"a name\", id)" : M

/** A folder with `config.json`, `model.safetensors`, `tokenizer.json`, relative to the working directory. */
const dir = <const M extends string>(path: Literal<M>): Step<Weights<M>, ModelError> =>
  make({ kind: "model", title: `load ${path.split("/").at(-1)}`, parameters: { from: "dir" }, sources: { dir: path } })

const fetched = <M extends string>(
  name: string,
  id: string,
  { revision = "main" }: { readonly revision?: string } = {}
): Step<Weights<M>, HubError | ModelError> =>
  make({
    kind: "model",
    title: `fetch ${name}`,
    parameters: { from: "hub" },
    sources: { hub: formatReference({ repo: `models/${id}`, revision }) }
  })

/** A model of the Hugging Face Hub. Its commit and the hashes of its files are in `penchant.lock`. */
const hub = <const M extends string>(
  id: Literal<M>,
  options: { readonly revision?: string } = {}
): Step<Weights<M>, HubError | ModelError> => fetched(id, id, options)

/** A computed id or path under a literal name; two models under one name promise to share a tokenizer. */
const named = <const M extends string>(
  name: Literal<M>,
  from: string | { readonly dir: string }
): Step<Weights<M>, HubError | ModelError> =>
  typeof from === "string"
    ? fetched(name, from)
    : make({ kind: "model", title: `load ${name}`, parameters: { from: "dir" }, sources: { dir: from.dir } })

export const Model = { dir, hub, named }
