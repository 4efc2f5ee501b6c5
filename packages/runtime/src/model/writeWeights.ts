// Weights to safetensors files tensor by tensor, so that writing holds one piece of one tensor beside the model.
import * as crypto from "node:crypto"
import { open } from "node:fs/promises"
import { encodeHeader, type Spec } from "../data/safetensors.ts"

export interface Written extends Spec {
  /** The tensor's bytes from its first to its last. A piece may be overwritten by the next. */
  readonly pieces: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** One file, on the disk when this returns; its sha256. */
export const writeTensors = async (file: string, tensors: Readonly<Record<string, Written>>): Promise<string> => {
  // transformers refuses a file without this.
  const { header, names } = encodeHeader(tensors, { format: "pt" })
  const hash = crypto.createHash("sha256")
  const handle = await open(file, "w")
  const write = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes)
    await handle.appendFile(bytes)
  }
  try {
    await write(header)
    for (const name of names) for await (const piece of tensors[name]!.pieces()) await write(piece)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return hash.digest("hex")
}
