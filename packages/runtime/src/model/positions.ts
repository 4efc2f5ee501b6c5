// Whether rows fit into the positions that a model has: beyond them an embedding has no row, and rotary angles are others
// than those it was trained with.
import { BadModel } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import type { TokenGroups } from "../compute/Batch.ts"
import { loadedArchitecture } from "./families.ts"
import type { Architecture } from "./Family.ts"

/** Why rows of `maxLength` tokens would not fit, their last one not fed; undefined when they do. */
export const positionsFor = ({ maxPositions }: Pick<Architecture, "maxPositions">, maxLength: number) =>
  maxLength - 1 <= maxPositions
    ? undefined
    : `${maxLength} goes beyond the model's ${maxPositions} positions, where longer rows are refused: take ${maxPositions} or less`

/** The last token of an answer is predicted, not fed. `step` is for messages. */
export const fitsPositions = (
  config: unknown,
  { branchLength, ids, promptLength, sides }: TokenGroups,
  step: string
): Result.Result<void, BadModel> => {
  const { maxPositions } = loadedArchitecture(config)
  for (const [g, row] of ids.entries()) {
    const answers = branchLength.subarray(g * sides.length, (g + 1) * sides.length)
    const needed = promptLength[g]! + answers.reduce((most, length) => Math.max(most, length), 1) - 1
    if (needed <= maxPositions) continue
    return Result.fail(
      new BadModel({
        file: step,
        part: "positions",
        problem:
          `end at ${maxPositions}, and row ${row} needs ${needed}: tokenise with a maxLength of ${maxPositions} or less`
      })
    )
  }
  return Result.succeed(undefined)
}
