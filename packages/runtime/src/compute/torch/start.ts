// libtorch in a thread: its library, its operators' schemas, and gradients switched off, which is a thread's own setting.
import * as fs from "node:fs"
import { bundledFor, bundledSchemas } from "./bundledSchemas.ts"
import type { Installation } from "./discovery.ts"
import { type Device, load, type Native } from "./native.ts"
import { schemasIn } from "./schemas.ts"
import { type Torch, torchOf } from "./Torch.ts"

export const schemasOf = ({ schemas, version }: Installation) => {
  if (schemas !== undefined) return schemasIn(fs.readFileSync(schemas, "utf8"))
  if (bundledFor.some((known) => version.startsWith(`${known}.`))) return schemasIn(bundledSchemas)
  throw new Error(
    `torch ${version} came without torchgen's native_functions.yaml, which lists its operators, and penchant has a list of its own only for ${
      bundledFor.join(" and ")
    }; install it with pip`
  )
}

/** `live` counts the tensors of all threads that are given it. */
export const nativeIn = (installation: Installation, device: Device, live?: Int32Array): Native => {
  const native = load(installation, device, live)
  native.noGrad()
  return native
}

export const torchIn = (installation: Installation, device: Device, live?: Int32Array): Torch =>
  torchOf(nativeIn(installation, device, live), device, schemasOf(installation))
