// Compiled kernels on disk, by what they were compiled from. A file is its own digest and then the code; one that does not
// agree with it is compiled again. Nothing here fails a run: a folder that cannot be written costs time at the next start.
import { sha256 } from "@penchant/dsl/Identity"
import * as fs from "node:fs"
import * as path from "node:path"

const digestLength = 64

const read = (file: string): Uint8Array | undefined => {
  try {
    const whole = fs.readFileSync(file)
    const code = whole.subarray(digestLength)
    return sha256(code) === whole.toString("latin1", 0, digestLength) ? code : undefined
  } catch {
    return undefined
  }
}

/** Written under another name and renamed, so that two processes at once leave one whole file. */
const write = (file: string, code: Uint8Array): void => {
  const temporary = `${file}.${process.pid}-${performance.now()}`
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(temporary, Buffer.concat([Buffer.from(sha256(code), "latin1"), code]))
    fs.renameSync(temporary, file)
  } catch {
    // what is left of it, if anything can be removed there
    fs.rm(temporary, { force: true }, () => {})
  }
}

/** The code stored in `folder` for what `identity` names (source, target, compiler), made first where there is none whole. */
export const cached = (
  folder: string,
  name: string,
  identity: ReadonlyArray<string>,
  make: () => Uint8Array
): Uint8Array => {
  const file = path.join(folder, `${name}-${sha256(JSON.stringify(identity)).slice(0, 32)}`)
  const found = read(file)
  if (found !== undefined) return found
  const made = make()
  write(file, made)
  return made
}
