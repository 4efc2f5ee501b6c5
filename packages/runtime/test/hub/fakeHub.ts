// A Hub on two loopback hosts, as the real one answers: `127.0.0.1` is the Hub, `localhost` the storage that it redirects
// large files to, which refuses requests with a token. Faults are decided per request by a function.
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { uploads } from "./fakeUploads.ts"

/** What goes wrong with one answer; everything else of it is right. */
export interface Fault {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes of the body that are sent before the connection is cut. */
  readonly cut?: number
  /** Bytes of the body that are sent before nothing more comes. */
  readonly stall?: number
  /** The head of the answer never comes. */
  readonly silent?: boolean
  /** The first byte is another. */
  readonly wrong?: boolean
  /** A range is asked for, the whole file is sent. */
  readonly whole?: boolean
  readonly etag?: string
  /** Redirects to itself. */
  readonly loop?: boolean
}

export interface Asked {
  readonly host: "hub" | "storage"
  readonly route: "info" | "tree" | "resolve" | "storage" | "other"
  readonly url: string
  readonly path: string
  readonly range: string | undefined
  readonly token: string | undefined
}

export interface FakeRepo {
  /** Newest last; each is path -> bytes. */
  readonly commits: Array<{ readonly sha: string; readonly files: ReadonlyMap<string, Buffer> }>
  /** Branch -> index of its commit; `main` is the newest unless named. */
  readonly refs: Map<string, number>
  access: "public" | "private" | "gated" | "disabled"
}

export const gitSha1 = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Every file of a folder, by its path there. */
export const filesOf = (folder: string): Map<string, Buffer> =>
  new Map(
    fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => {
      const at = path.join(entry.parentPath, entry.name)
      return [path.relative(folder, at).split(path.sep).join("/"), fs.readFileSync(at)]
    })
  )

/** The token that may see everything, and one that may see no gated repository. */
export const tokens = { good: "tok-good", unapproved: "tok-other" } as const

export interface FakeHub {
  readonly endpoint: string
  readonly asked: Array<Asked>
  /** `models/x/y` or `datasets/x/y`. */
  readonly repos: Map<string, FakeRepo>
  /** A new commit of a repository, which is made if it is not there; returns the commit. */
  readonly commit: (repo: string, files: ReadonlyMap<string, Uint8Array>, access?: FakeRepo["access"]) => string
  fault: (asked: Asked) => Fault | undefined
  readonly close: () => Promise<void>
}

export interface FakeOptions {
  /** Files of at least so many bytes are large: they are redirected and known by their sha256. */
  readonly large?: number
  /** Entries per page of a listing. */
  readonly page?: number
}

const send = (response: http.ServerResponse, status: number, headers: Record<string, string>, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const refused = (response: http.ServerResponse, status: number, code: string, message: string, commit?: string): void =>
  send(
    response,
    status,
    {
      ...(code === "" ? {} : { "x-error-code": code }),
      "x-error-message": message,
      ...(commit === undefined ? {} : { "x-repo-commit": commit })
    },
    { error: message }
  )

/** A file, or the range of it that is asked for, with what goes wrong. */
const body = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  bytes: Buffer,
  headers: Record<string, string>,
  fault: Fault
): void => {
  const range = fault.whole === true ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "")
  let part = bytes
  let status = 200
  const extra: Record<string, string> = {}
  if (range !== null) {
    const from = Number(range[1])
    if (from >= bytes.length) {
      response.writeHead(416, { ...headers, "content-range": `bytes */${bytes.length}` })
      return void response.end()
    }
    const to = Math.min(range[2] === "" ? bytes.length - 1 : Number(range[2]), bytes.length - 1)
    part = bytes.subarray(from, to + 1)
    status = 206
    extra["content-range"] = `bytes ${from}-${to}/${bytes.length}`
  }
  if (fault.wrong === true && part.length > 0) {
    part = Buffer.from(part)
    part[0] = part[0]! ^ 0xff
  }
  response.writeHead(status, {
    ...headers,
    ...extra,
    "accept-ranges": "bytes",
    "content-length": String(part.length),
    ...(fault.etag === undefined ? {} : { etag: fault.etag })
  })
  if (request.method === "HEAD") return void response.end()
  const first = fault.cut ?? fault.stall
  if (first === undefined || first >= part.length) return void response.end(part)
  response.flushHeaders()
  const after = (): void => {
    if (fault.cut !== undefined) response.socket?.destroy()
  }
  if (first === 0) after()
  else response.write(part.subarray(0, first), after)
}

export const fakeHub = async ({ large = 1000, page = 2 }: FakeOptions = {}): Promise<FakeHub> => {
  const repos: FakeHub["repos"] = new Map()
  const asked: Array<Asked> = []
  const stored = new Map<string, Buffer>()
  const uploading = uploads({
    self: () => self,
    stored,
    large,
    storage: () => `http://localhost:${port(storage)}`
  })
  const listen = (host: string, answer: http.RequestListener) =>
    new Promise<http.Server>((resolve) => {
      const server = http.createServer(answer)
      server.listen(0, host, () => resolve(server))
    })
  const port = (server: http.Server): number => (server.address() as AddressInfo).port

  /** False when the fault was the whole answer. */
  const faulty = (
    self: FakeHub,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    what: Asked
  ): Fault | false => {
    asked.push(what)
    const fault = self.fault(what) ?? {}
    if (fault.silent === true) return false
    if (fault.loop === true) {
      response.writeHead(302, { location: request.url ?? "/" })
      response.end()
      return false
    }
    if (fault.status !== undefined) {
      response.writeHead(fault.status, { "content-type": "text/html", ...fault.headers })
      response.end("<html>busy</html>")
      return false
    }
    return fault
  }

  const describe = (request: http.IncomingMessage, host: Asked["host"], route: Asked["route"], at: string): Asked => ({
    host,
    route,
    url: request.url ?? "",
    path: at,
    range: request.headers.range,
    token: request.headers.authorization
  })

  const storage = await listen("localhost", (request, response) => {
    const hash = (request.url ?? "").split("/").at(-1)!.split("?")[0]!
    const fault = faulty(self, request, response, describe(request, "storage", "storage", hash))
    if (fault === false) return
    if (request.headers.authorization !== undefined) return refused(response, 400, "", "two kinds of authorization")
    if (request.method === "PUT") return uploading.put(request, response, hash)
    const bytes = stored.get(hash)
    if (bytes === undefined) return refused(response, 403, "", "no such signature")
    body(request, response, bytes, { etag: `"${hash}"` }, fault)
  })

  const visible = (
    response: http.ServerResponse,
    repo: FakeRepo | undefined,
    token: string | undefined,
    open: boolean
  ) => {
    if (token !== undefined && !Object.values<string>(tokens).includes(token.replace("Bearer ", ""))) {
      refused(response, 401, "", "Invalid credentials in Authorization header")
      return undefined
    }
    const good = token === `Bearer ${tokens.good}`
    if (repo === undefined || (repo.access === "private" && !good)) {
      refused(response, token === undefined ? 401 : 404, "RepoNotFound", "Repository not found")
      return undefined
    }
    if (repo.access === "disabled") {
      refused(response, 403, "", "Access to this resource is disabled.")
      return undefined
    }
    if (repo.access === "gated" && !open && !good) {
      refused(response, token === undefined ? 401 : 403, "GatedRepo", "Access to this repository is restricted")
      return undefined
    }
    return repo
  }

  const commitOf = (response: http.ServerResponse, repo: FakeRepo, revision: string) => {
    const index = repo.refs.get(revision) ?? repo.commits.findIndex(({ sha }) => sha === revision)
    const found = revision === "main" && !repo.refs.has("main") ? repo.commits.at(-1) : repo.commits[index]
    if (found === undefined) refused(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`)
    return found
  }

  const hub = await listen("127.0.0.1", (request, response) => {
    const url = new URL(request.url ?? "/", "http://hub")
    if (uploading.hub(request, response)) return
    const token = request.headers.authorization
    const api = /^\/api\/(models|datasets)\/(.+?)\/(revision|tree)\/(.+)$/.exec(url.pathname)
    if (api !== null) {
      const [, type, id, route, rest] = api
      const fault = faulty(self, request, response, describe(request, "hub", route === "tree" ? "tree" : "info", ""))
      if (fault === false) return
      const repo = visible(response, repos.get(`${type}/${id}`), token, true)
      const found = repo === undefined ? undefined : commitOf(response, repo, decodeURIComponent(rest!))
      if (repo === undefined || found === undefined) return
      if (route === "revision") {
        return send(response, 200, {}, {
          _id: "1",
          id,
          sha: found.sha,
          private: repo.access === "private",
          gated: repo.access === "gated" ? "auto" : false,
          downloads: 0,
          likes: 0,
          lastModified: "2024-01-01T00:00:00.000Z"
        })
      }
      const all = [...found.files].toSorted(([a], [b]) => (a < b ? -1 : 1))
      const from = Number(url.searchParams.get("cursor") ?? 0)
      const next = from + page < all.length
        ? { link: `<${self.endpoint}${url.pathname}?recursive=true&expand=false&cursor=${from + page}>; rel="next"` }
        : {}
      return send(
        response,
        200,
        next as Record<string, string>,
        all.slice(from, from + page).map(([path, bytes]) => {
          const { length: size } = bytes
          if (size < large) return { type: "file", path, size, oid: gitSha1(bytes) }
          const oid = sha256(bytes)
          const lfs = { oid, size, pointerSize: 130 }
          return { type: "file", path, size, oid: gitSha1(Buffer.from(`pointer ${oid}`)), lfs, xetHash: oid }
        })
      )
    }
    const resolve = /^\/(?:(datasets)\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname)
    if (resolve === null) return refused(response, 404, "", "Not found")
    const [, type = "models", id, revision, name] = resolve
    const file = decodeURIComponent(name!)
    const fault = faulty(self, request, response, describe(request, "hub", "resolve", file))
    if (fault === false) return
    const repo = visible(response, repos.get(`${type}/${id}`), token, false)
    const found = repo === undefined ? undefined : commitOf(response, repo, decodeURIComponent(revision!))
    if (found === undefined) return
    const bytes = found.files.get(file)
    if (bytes === undefined) return refused(response, 404, "EntryNotFound", "Entry not found", found.sha)
    const headers = { "x-repo-commit": found.sha }
    if (bytes.length < large) return body(request, response, bytes, { ...headers, etag: `"${gitSha1(bytes)}"` }, fault)
    const hash = sha256(bytes)
    stored.set(hash, bytes)
    response.writeHead(302, {
      ...headers,
      location: `http://localhost:${port(storage)}/xet/${hash}?signature=1`,
      etag: fault.etag ?? `"${hash}"`,
      "x-linked-etag": fault.etag ?? `"${hash}"`,
      "x-linked-size": String(bytes.length),
      "x-xet-hash": hash,
      "content-length": "0"
    })
    response.end()
  })

  const self: FakeHub = {
    endpoint: `http://127.0.0.1:${port(hub)}`,
    asked,
    repos,
    commit: (name, files, access = "public") => {
      const repo: FakeRepo = repos.get(name) ?? { commits: [], refs: new Map(), access }
      repos.set(name, repo)
      const sha = gitSha1(
        Buffer.from(`${name} ${repo.commits.length} ${[...files].map(([at, b]) => at + gitSha1(b)).join()}`)
      )
      repo.commits.push({ sha, files: new Map([...files].map(([at, bytes]) => [at, Buffer.from(bytes)])) })
      return sha
    },
    fault: () => undefined,
    close: () =>
      Promise.all([hub, storage].map((server) => {
        server.closeAllConnections()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })).then(() => undefined)
  }
  return self
}
