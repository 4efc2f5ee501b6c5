// Folders of the reference tokenizers, unpacked once for a test file.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliDecompressSync } from "node:zlib"
import { minimind, reference, stories260K } from "./hh.ts"

const packed = ["gpt2", "pythia", "mistral-v1", "sentencepiece-unigram-1k"] as const
export type TokenizerName = (typeof packed)[number] | "minimind" | "stories260K"

/** Folder of each tokenizer; whoever asks removes `directory`. */
export const tokenizerFolders = () => {
  const directory = mkdtempSync(join(tmpdir(), "tokenizers-"))
  const folders: Record<string, string> = { minimind, stories260K }
  for (const name of packed) {
    const [from, to] = [reference(`tokenizers/${name}`), join(directory, name)]
    mkdirSync(to)
    for (const file of readdirSync(from)) {
      if (file.endsWith(".br")) {
        writeFileSync(join(to, file.slice(0, -3)), brotliDecompressSync(readFileSync(join(from, file))))
      } else copyFileSync(join(from, file), join(to, file))
    }
    folders[name] = to
  }
  return { directory, folders: folders as Readonly<Record<TokenizerName, string>> }
}
