// Where state lives: `.penchant` in the working directory, or PENCHANT_HOME. Deleting it costs time only.
import * as path from "node:path"

export const homeDirectory = (home?: string): string =>
  path.resolve(home ?? process.env["PENCHANT_HOME"] ?? ".penchant")
