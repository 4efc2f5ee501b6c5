// Blobs have no names of their own: a folder of links gives them back, so that loaders see files as a person would.
import * as fs from "node:fs"
import * as path from "node:path"

/** Makes `folder`, with a link per file of an artifact. */
export const linkFiles = (folder: string, files: Readonly<Record<string, string>>): void => {
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, blob] of Object.entries(files)) {
    const at = path.join(folder, name)
    fs.mkdirSync(path.dirname(at), { recursive: true })
    fs.symlinkSync(blob, at)
  }
}
