// Every shipped objective by name, for `penchant objectives` and for tests that hold of all of them.
import type { Objective } from "@penchant/dsl/Objective"
import { dil } from "./dil.ts"
import { dpo } from "./dpo.ts"
import { nll } from "./nll.ts"
import { simpo } from "./simpo.ts"

export interface Entry {
  /** With its defaults. */
  readonly make: () => Objective
  readonly about: string
  readonly paper: string
  /** Choices that are not numbers, the default first. */
  readonly choices: Readonly<Record<string, ReadonlyArray<string>>>
}

export const all = {
  "dil-lsif": {
    make: dil.lsif,
    about: "imitation by least-squares density-ratio matching, h = r² / 2",
    paper: "https://arxiv.org/abs/2503.05079",
    choices: { ratio: ["mean", "sum"] }
  },
  "dil-bce": {
    make: dil.bce,
    about: "imitation by telling chosen from rejected, h = r log r - (r + 1) log(r + 1)",
    paper: "https://arxiv.org/abs/2503.05079",
    choices: { ratio: ["mean", "sum"] }
  },
  "dil-ukl": {
    make: dil.ukl,
    about: "imitation by unnormalised KL: likelihood of the chosen plus a penalty on the rejected, h = r log r - r",
    paper: "https://arxiv.org/abs/2503.05079",
    choices: { ratio: ["mean", "sum"] }
  },
  dpo: {
    make: dpo,
    about: "direct preference optimisation: the margin between the two log-ratios",
    paper: "https://arxiv.org/abs/2305.18290",
    choices: { ratio: ["sum", "mean"] }
  },
  simpo: {
    make: simpo,
    about: "the margin between the two log-probabilities per token, without a reference",
    paper: "https://arxiv.org/abs/2405.14734",
    choices: {}
  },
  nll: {
    make: nll,
    about: "negative log-likelihood of the chosen answers: supervised fine-tuning",
    paper: "https://arxiv.org/abs/2203.02155",
    choices: { reduction: ["token", "sequence"] }
  }
} satisfies Readonly<Record<string, Entry>>
