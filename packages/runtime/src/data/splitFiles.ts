// Which files of a data folder make up a split, by the names that the Hugging Face Hub's data sets use.

/**
 * Of `names` (relative, with "/"), those of the split, in the order of their names: files called after it, alone or in
 * shards (`train.jsonl.gz`, `train_prefs-00000-of-00001.parquet`, `valid1-00000-of-00001-0e33e6bd86e3edc9.parquet`), or
 * lying in a folder called after it. `extensions` are the ends of names that rows are read from.
 */
export const splitFiles = (
  names: ReadonlyArray<string>,
  { dir = "", split }: { readonly split: string; readonly dir?: string | undefined },
  extensions: ReadonlyArray<string>
): ReadonlyArray<string> =>
  names.filter((name) => {
    if (dir !== "" && !name.startsWith(dir.endsWith("/") ? dir : `${dir}/`)) return false
    const extension = extensions.find((end) => name.endsWith(end))
    if (extension === undefined) return false
    const parts = name.slice(0, -extension.length).split("/")
    const last = parts.pop()!
    return last === split ||
      (last.startsWith(`${split}-`) && /^-\d+-of-\d+(-[0-9a-f]+)?$/.test(last.slice(split.length))) ||
      parts.includes(split)
  }).toSorted()
