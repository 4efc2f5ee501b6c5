// How a pipeline names files of the Hugging Face Hub: a repository, a revision, and which of its files.
// `hf://datasets/Anthropic/hh-rlhf@main?dir=harmless-base&split=train`. What it is today is in `penchant.lock`.

export interface Reference {
  readonly repo: `models/${string}` | `datasets/${string}`
  /** A branch, a tag or a commit. */
  readonly revision: string
  /** The files of a split: of a config of the data set's README, or under `dir` when it is given. */
  readonly split?: string | undefined
  readonly config?: string | undefined
  readonly dir?: string | undefined
  /** Glob patterns; they decide alone when there are some. */
  readonly files?: ReadonlyArray<string> | undefined
}

const scheme = "hf://"

export const isReference = (source: string): boolean => source.startsWith(scheme)

/** One spelling for equal references. */
export const formatReference = ({ config, dir, files = [], repo, revision, split }: Reference): string => {
  const query = new URLSearchParams()
  if (config !== undefined) query.append("config", config)
  if (dir !== undefined) query.append("dir", dir.replace(/^\/+|\/+$/g, ""))
  for (const pattern of files.toSorted()) query.append("files", pattern)
  if (split !== undefined) query.append("split", split)
  // Blanks and such stay encoded; these are common in names and harm nothing.
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%2A", "*").replaceAll("%2C", ",")
  return `${scheme}${repo}@${revision}${text === "" ? "" : `?${text}`}`
}

/** Of what `formatReference` made. */
export const parseReference = (text: string): Reference => {
  const found = /^hf:\/\/((?:models|datasets)\/[^@?]+)@([^?]+)(?:\?(.*))?$/.exec(text)
  if (found === null) throw new Error(`"${text}" is no reference to the Hub`)
  const query = new URLSearchParams(found[3] ?? "")
  const files = query.getAll("files")
  return {
    repo: found[1] as Reference["repo"],
    revision: found[2]!,
    split: query.get("split") ?? undefined,
    config: query.get("config") ?? undefined,
    dir: query.get("dir") ?? undefined,
    files: files.length === 0 ? undefined : files
  }
}
