// A shared library by its path, which its loader leaves out of what it says.
import koffi from "koffi"

export const openLibrary = (file: string): ReturnType<typeof koffi.load> => {
  try {
    return koffi.load(file)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error })
  }
}
