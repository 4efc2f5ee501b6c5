// Numbers that a text decides, the same everywhere and always.
import { hash } from "node:crypto"

/** A number in [0, 1): 53 bits of the text's sha256. */
export const unit = (text: string): number => {
  const bytes = hash("sha256", text, "buffer")
  return (bytes.readUInt32BE(0) * 2 ** 21 + (bytes.readUInt32BE(4) >>> 11)) / 2 ** 53
}
