// What an answer of the Hub means when it is not what was asked for: worth another try, and when; or a typed error that says
// what to do. https://huggingface.co/docs/hub/api and `huggingface_hub/utils/_http.py` name the headers.
import { HubError } from "@penchant/dsl/Errors"
import { type HubSettings, shownProxies } from "./Settings.ts"

/** Worth another try. */
export class Transient {
  readonly problem: string
  /** Milliseconds that the server asks for; undefined: it does not say. */
  readonly wait: number | undefined
  /** Something was gained: such a failure does not count towards the last. */
  readonly progress: boolean
  constructor(problem: string, options: { readonly wait?: number | undefined; readonly progress?: boolean } = {}) {
    this.problem = problem
    this.wait = options.wait
    this.progress = options.progress ?? false
  }
}

const transientStatus: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

/** Milliseconds of `Retry-After` (seconds or a date), or of a used-up `RateLimit: "api";r=0;t=55`, and a second more. */
export const waitOf = (headers: Headers, now: number): number | undefined => {
  const limit = /;\s*r=0\s*(?:;.*?)?;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")
  if (limit !== null) return 1000 * (Number(limit[1]) + 1)
  const after = headers.get("retry-after")
  if (after === null) return undefined
  const wait = /^\d+(\.\d+)?$/.test(after.trim()) ? 1000 * Number(after) : Date.parse(after) - now
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined
}

export interface Asked {
  /** `datasets/Anthropic/hh-rlhf`, for messages. */
  readonly repo: string
  readonly url: string
  readonly settings: HubSettings
}

const sentence = (text: string): string => text.replace(/\s+/g, " ").trim().slice(0, 300)

const said = (headers: Headers, body: string): string => {
  const message = headers.get("x-error-message")
  if (message !== null) return sentence(message)
  try {
    const { error } = JSON.parse(body) as { readonly error?: unknown }
    if (typeof error === "string") return sentence(error)
  } catch { /* a proxy's page of HTML */ }
  return ""
}

const page = ({ repo, settings }: Asked): string => `${settings.endpoint}/${repo.replace(/^models\//, "")}`

/** Answers below 400 and 416 (a range that is not there) are the caller's business and do not come here. */
export const failureOf = (asked: Asked, status: number, headers: Headers, body: string): Transient | HubError => {
  const { repo, settings, url } = asked
  const host = new URL(url).host
  const message = said(headers, body)
  const code = headers.get("x-error-code")
  const error = (reason: HubError["reason"], problem: string, remedy?: string): HubError =>
    new HubError({ repo, reason, problem, ...(remedy === undefined ? {} : { remedy }) })
  if (transientStatus.has(status)) {
    return new Transient(`${host} answered ${status}${message === "" ? "" : ` (${message})`}`, {
      wait: waitOf(headers, Date.now())
    })
  }
  // A signed URL of the storage behind the Hub expires: the next try asks the Hub for a new one.
  if (host !== new URL(settings.endpoint).host) return new Transient(`${host} answered ${status}`)
  const known = settings.token !== undefined
  if (code === "GatedRepo") {
    return error(
      "gated",
      "access to this repository must be asked for",
      known
        ? `accept its conditions at ${
          page(asked)
        } with the account of your token; when that is done, the token needs read access to gated repositories`
        : `accept its conditions at ${page(asked)}, then set HF_TOKEN to a token of that account`
    )
  }
  if (code === "RevisionNotFound") {
    return error("revision", "no such revision", `branches and tags are listed at ${page(asked)}/tree/main`)
  }
  if (code === "EntryNotFound") {
    const file = decodeURIComponent(new URL(url).pathname.split("/resolve/")[1]?.replace(/^[^/]+\//, "") ?? "")
    return error("file", `has no file ${file === "" ? "there" : file} at this revision`)
  }
  if (/access to this resource is disabled/i.test(message)) {
    return error("disabled", "was disabled by the Hub", `its page may say why: ${page(asked)}`)
  }
  if (status === 401 && (/invalid (credentials|username or password|user token)/i.test(message) && known)) {
    return error("token", "the Hub does not accept the token", `make a new one at ${settings.endpoint}/settings/tokens`)
  }
  if (code === "RepoNotFound" || status === 404) {
    return known
      ? error(
        "missing",
        "no such repository, or the token may not see it",
        "check its name, and that the token's account has access"
      )
      : error("private", "no such repository, or a private one", "check its name; if it is private, set HF_TOKEN")
  }
  if (status === 409) return error("exists", message === "" ? "is there already" : message)
  if (status === 401 || status === 403) {
    return error(
      "token",
      `the Hub refused this (${status}${message === "" ? "" : `: ${message}`})`,
      known ? "the token lacks a permission that this needs" : "set HF_TOKEN"
    )
  }
  return error("protocol", `${host} answered ${status}${message === "" ? "" : `: ${message}`}`)
}

/** Hosts that a firewall must let through, because the Hub redirects to them. */
const hosts = "huggingface.co, *.hf.co, *.xethub.hf.co"

/** Which proxies are set, since they are easily forgotten. */
const proxyNamed = ({ proxies }: HubSettings): string => {
  const shown = shownProxies(proxies)
  return shown === "" ? "HTTPS_PROXY" : `the proxy ${shown}, which requests go through unless NO_PROXY names their host`
}

/** After the last try. */
export const exhausted = ({ repo, settings, url }: Asked, { problem, wait }: Transient, attempts: number): HubError =>
  /answered 429/.test(problem)
    ? new HubError({
      repo,
      reason: "rateLimit",
      problem: `${problem} ${attempts} times${
        wait === undefined ? "" : `, lastly asking for ${Math.ceil(wait / 1000)} s`
      }`,
      remedy: settings.token === undefined
        ? "set HF_TOKEN: accounts have higher limits; or run again later"
        : "run again later: what was fetched is kept"
    })
    : new HubError({
      repo,
      reason: "network",
      problem: `${problem} (${attempts} tries, ${new URL(url).host})`,
      remedy: settings.endpoint === "https://huggingface.co"
        ? `check the network, ${
          proxyNamed(settings)
        }, or a mirror in HF_ENDPOINT; a firewall must allow ${hosts}; what was fetched is kept`
        : `check the network, ${proxyNamed(settings)}, and HF_ENDPOINT; what was fetched is kept`
    })
