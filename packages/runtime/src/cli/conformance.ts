// `penchant conformance [DIR]`: recomputes a folder of peers' numbers; one row per check with error, tolerance, pass.
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { json } from "./output.ts"

export const conformance = Command.make("conformance", { json }, () => Effect.void)
