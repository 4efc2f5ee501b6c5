// Every engine, loaded only when it is asked for. A new engine is one folder and one line here.
import type { BackendModule } from "./Backend.ts"

export type EngineName = "reference"

export const backends: { readonly [E in EngineName]: () => Promise<BackendModule> } = {
  reference: () => import("./reference/backend.ts")
}
