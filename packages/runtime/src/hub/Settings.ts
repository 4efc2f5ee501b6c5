// Where the Hub and its cache are, and who asks: the environment variables of Python's huggingface_hub, with its defaults.
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export interface HubSettings {
  /** No slash at its end. */
  readonly endpoint: string
  /** Sent to the endpoint's own origin and nowhere else. */
  readonly token: Redacted.Redacted | undefined
  /** Answer from the cache only. */
  readonly offline: boolean
  /** Absolute. */
  readonly cache: string
  /** Milliseconds for a connection, and again for the head of an answer. */
  readonly answerTimeout: number
  /** Milliseconds without a byte of the body. */
  readonly idleTimeout: number
  /** Empty strings: none. */
  readonly proxies: { readonly httpProxy: string; readonly httpsProxy: string; readonly noProxy: string }
  /** Files are fetched in ranges of this size, several at a time. */
  readonly rangeBytes: number
}

/** For messages: without the names and passwords that may be in them. */
export const shownProxies = ({ httpProxy, httpsProxy }: HubSettings["proxies"]): string =>
  [...new Set([httpProxy, httpsProxy])].filter((proxy) => proxy !== "").map((proxy) => proxy.replace(/\/\/.*@/, "//"))
    .join(", ")

export type Environment = Readonly<Record<string, string | undefined>>

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "")

/** Seconds to milliseconds; what is no positive number is the default. */
const seconds = (value: string | undefined, otherwise: number): number => {
  const given = Number(value)
  return 1000 * (given > 0 && Number.isFinite(given) ? given : otherwise)
}

const fileToken = (at: string): string | undefined => {
  try {
    return fs.readFileSync(at, "utf8")
  } catch {
    return undefined
  }
}

/** Empty variables count as unset, as they do in Python. */
export const settingsOf = (environment: Environment): HubSettings => {
  const get = (...names: ReadonlyArray<string>): string | undefined =>
    names.map((name) => environment[name]?.trim()).find((value) => value !== undefined && value !== "")
  const user = get("HOME", "USERPROFILE") ?? os.homedir()
  const resolve = (at: string): string => path.resolve(at.replace(/^~(?=$|[/\\])/, user))
  const home = resolve(get("HF_HOME") ?? path.join(get("XDG_CACHE_HOME") ?? path.join(user, ".cache"), "huggingface"))
  const token = get("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") ??
    fileToken(resolve(get("HF_TOKEN_PATH") ?? path.join(home, "token")))?.trim()
  return {
    endpoint: (get("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, ""),
    token: token === undefined || token === "" ? undefined : Redacted.make(token, { label: "HF_TOKEN" }),
    offline: isTrue(get("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
    cache: resolve(get("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? path.join(home, "hub")),
    answerTimeout: seconds(get("HF_HUB_ETAG_TIMEOUT"), 10),
    idleTimeout: seconds(get("HF_HUB_DOWNLOAD_TIMEOUT"), 10),
    proxies: {
      httpProxy: get("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY") ?? "",
      httpsProxy: get("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY") ?? "",
      noProxy: get("no_proxy", "NO_PROXY") ?? ""
    },
    rangeBytes: 64 * 2 ** 20
  }
}
