// The Hugging Face Hub over HTTP: one answer to one question, with retries, time limits and proxies. The token goes to the
// Hub's own origin only; redirects are followed here, because what the first hop says must be kept and its token dropped.
import { HubError } from "@penchant/dsl/Errors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import { EnvHttpProxyAgent, fetch as undiciFetch } from "undici"
import { type Asked, exhausted, failureOf, Transient } from "./failure.ts"
import { type HubSettings, settingsOf, shownProxies } from "./Settings.ts"

export interface Question {
  /** `models/gpt2` or `datasets/Anthropic/hh-rlhf`, for messages. */
  readonly repo: string
  readonly url: string
  readonly init?: RequestInit
}

export interface Hub {
  readonly settings: HubSettings
  /** One try. Answers 2xx or 416, or throws `Transient` or `HubError`. */
  readonly open: (question: Question, signal: AbortSignal) => Promise<Response>
  /** Tries until it works: 6 times in a row without progress are the last. */
  readonly retrying: <A>(
    question: Pick<Question, "repo" | "url">,
    once: (signal: AbortSignal) => Promise<A>
  ) => Effect.Effect<A, HubError>
  /** Connections that carry bodies at the same time. */
  readonly connections: Semaphore.Semaphore
}

const tries = 6
const hops = 5
/** Milliseconds: a server that asks for more than its window of 5 minutes is not waited for. */
const patience = 330_000

/** Undici's `fetch` is that of the platform, of another version of its types. */
const platformFetch = undiciFetch as unknown as (
  url: string,
  init: Omit<RequestInit, "dispatcher"> & { readonly dispatcher: EnvHttpProxyAgent }
) => Promise<Response>

/** What the network said, in a few words; certificates do not get better by trying again. */
const networkFailure = (asked: Asked, error: unknown): Transient | HubError => {
  const { code = "", message = String(error) } = ((error as Error).cause ?? error) as {
    code?: string
    message?: string
  }
  const host = new URL(asked.url).host
  if (/CERT|SIGNATURE|SELF_SIGNED/.test(code)) {
    return new HubError({
      repo: asked.repo,
      reason: "network",
      problem: `the certificate of ${host} is not trusted (${code})`,
      remedy: "a proxy that opens TLS needs NODE_EXTRA_CA_CERTS=its-certificate.pem"
    })
  }
  return new Transient(`no answer from ${host}: ${message.includes(code) ? message : `${message} (${code})`}`)
}

/** Undefined where a proxy's address is none. */
const agentOf = ({ answerTimeout, idleTimeout, proxies }: HubSettings): EnvHttpProxyAgent | undefined => {
  try {
    return new EnvHttpProxyAgent({
      ...proxies,
      connect: { timeout: answerTimeout },
      headersTimeout: answerTimeout,
      bodyTimeout: idleTimeout
    })
  } catch {
    return undefined
  }
}

/** What of the settings cannot work, before anything is asked with them. */
const unusable = ({ endpoint, proxies, token }: HubSettings, agent: unknown) => {
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    return { reason: "protocol", problem: `HF_ENDPOINT is ${endpoint}`, remedy: "it begins with https://" } as const
  }
  if (agent === undefined) {
    const problem = `a proxy cannot be used: ${shownProxies(proxies)}`
    return { reason: "protocol", problem, remedy: "HTTPS_PROXY and HTTP_PROXY begin with http:// or https://" } as const
  }
  if (token !== undefined && /[^\x21-\x7e]/.test(Redacted.value(token))) {
    const problem = "HF_TOKEN or the token file holds characters that no token has"
    return { reason: "token", problem, remedy: "look for line breaks and quotation marks in it" } as const
  }
  return undefined
}

export const makeHub = (settings: HubSettings): Hub => {
  const agent = agentOf(settings)
  const problem = unusable(settings, agent)
  const origin = URL.parse(settings.endpoint)?.origin

  const headersFor = (url: string, given: RequestInit["headers"]): Headers => {
    const headers = new Headers(given)
    headers.delete("authorization")
    headers.set("user-agent", "penchant")
    // What is hashed is what was sent; a compressed range would be neither.
    headers.set("accept-encoding", "identity")
    if (settings.token !== undefined && new URL(url).origin === origin) {
      headers.set("authorization", `Bearer ${Redacted.value(settings.token)}`)
    }
    return headers
  }

  const hop = async (asked: Asked, init: RequestInit, signal: AbortSignal): Promise<Response> => {
    const headers = headersFor(asked.url, init.headers)
    try {
      return await platformFetch(asked.url, {
        ...init,
        headers,
        signal,
        redirect: "manual",
        dispatcher: agent!
      })
    } catch (error) {
      if (signal.aborted) throw error
      throw networkFailure(asked, error)
    }
  }

  const open: Hub["open"] = async ({ init = {}, repo, url }, signal) => {
    if (problem !== undefined) throw new HubError({ repo, ...problem })
    for (let at = url, hop_ = 0; hop_ <= hops; hop_++) {
      const asked = { repo, url: at, settings }
      const response = await hop(asked, init, signal)
      const location = response.headers.get("location")
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel()
        const next = URL.parse(location, at)
        if (next === null) throw new Transient(`${new URL(at).host} redirects to ${JSON.stringify(location)}`)
        at = next.href
        continue
      }
      if (response.ok || response.status === 416) return response
      const body = await response.text().catch(() => "")
      throw failureOf(asked, response.status, response.headers, body)
    }
    throw new Transient(`more than ${hops} redirects from ${new URL(url).host}`)
  }

  const retrying: Hub["retrying"] = Effect.fnUntraced(function*(question, once) {
    const asked = { ...question, settings }
    for (let failed = 0;;) {
      const outcome = yield* Effect.tryPromise({
        try: (signal) => once(signal).then((value) => ({ value })),
        catch: (error) => {
          if (error instanceof Transient || error instanceof HubError) return error
          throw error
        }
      }).pipe(Effect.catchIf((error) => error instanceof Transient, (error) => Effect.succeed(error)))
      if (!(outcome instanceof Transient)) return outcome.value
      failed = outcome.progress ? 1 : failed + 1
      if (failed >= tries || (outcome.wait ?? 0) > patience) return yield* exhausted(asked, outcome, failed)
      // 1, 2, 4, 8, 16 s; never all clients of a machine room at the same moment.
      const spread = yield* Random.next
      yield* Effect.sleep(
        outcome.wait === undefined ? 1000 * 2 ** (failed - 1) * (0.5 + spread) : outcome.wait + 1000 * spread
      )
    }
  })

  return { settings, open, retrying, connections: Semaphore.makeUnsafe(8) }
}

/** The Hub of this process: by default that of its environment. */
export const CurrentHub = Context.Reference<Hub>("@penchant/runtime/Hub", {
  defaultValue: () => makeHub(settingsOf(process.env))
})
