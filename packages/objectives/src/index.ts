// Preference objectives as formulas. To write your own: `objective` from @penchant/dsl, or `dil(name, h)` for a convex h.
export { all, type Entry } from "./all.ts"
export { dil, type DilOptions } from "./dil.ts"
export { dpo } from "./dpo.ts"
export { nll } from "./nll.ts"
export { sft } from "./sft.ts"
export { simpo } from "./simpo.ts"
