// Flags of the commands that write a model: of which type its weights are, and how large a file of them may be.
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { type Dtype, dtypes, type Form } from "../model/exported.ts"
import { parseBytes } from "../platform/bytes.ts"

export const dtype = Flag.Literals("dtype", Object.keys(dtypes) as ReadonlyArray<Dtype>).pipe(
  Flag.optional,
  Flag.withDescription(
    "Type of the weights: float32, bfloat16 or float16; as stored by default, which is float32 of what was trained, so that it "
      + "gives the log-probabilities that were measured"
  )
)

export const maxShardSize = Flag.String("max-shard-size").pipe(
  Flag.withDefault("50GB"),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(parseBytes(text)),
    (text) => `${text} is no size, such as 5GB or 500MB`
  ),
  Flag.withDescription("Largest file of weights; more are cut into shards with an index (50GB, as transformers)")
)

export const formOf = (flags: { readonly dtype: Option.Option<Dtype>; readonly maxShardSize: number }): Form => ({
  dtype: Option.getOrUndefined(flags.dtype),
  maxShardSize: flags.maxShardSize
})
