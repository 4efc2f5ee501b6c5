// How the fake Hub takes files: a repository is made, small files come inside the commit, large ones go to the storage first.
import type * as http from "node:http"
import { type FakeHub, sha256, tokens } from "./fakeHub.ts"

interface Uploads {
  readonly self: () => FakeHub
  /** By sha256. */
  readonly stored: Map<string, Buffer>
  readonly large: number
  readonly storage: () => string
}

const bodyOf = async (request: http.IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

interface Line {
  readonly key: "header" | "file" | "lfsFile"
  readonly value: { readonly path: string; readonly content: string; readonly oid: string; readonly size: number }
}

/** False when a request is none of an upload. */
export const uploads = ({ large, self, storage, stored }: Uploads) => {
  // What a repository takes once need not be sent again; what others hold must be.
  const uploaded = new Set<string>()
  const answer = (response: http.ServerResponse, status: number, value: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" })
    response.end(JSON.stringify(value))
  }
  const routes: ReadonlyArray<readonly [RegExp, (found: RegExpExecArray, body: Buffer) => readonly [number, unknown]]> =
    [
      [/^\/api\/repos\/create$/, (_, body) => {
        const { name, organization } = JSON.parse(body.toString())
        const repo = `models/${organization}/${name}`
        if (self().repos.has(repo)) return [409, { error: "You already created this model repo" }]
        self().repos.set(repo, { commits: [], refs: new Map(), access: "private" })
        return [200, { url: `${self().endpoint}/${organization}/${name}`, id: `${organization}/${name}` }]
      }],
      [/^\/api\/models\/.+\/preupload\/main$/, (_, body) => {
        const { files } = JSON.parse(body.toString()) as { files: Array<{ path: string; size: number }> }
        const modes = files.map(({ path, size }) => ({ path, uploadMode: size >= large ? "lfs" : "regular" }))
        return [200, { files: modes }]
      }],
      [/^\/.+\.git\/info\/lfs\/objects\/batch$/, (_, body) => {
        const { objects } = JSON.parse(body.toString()) as { objects: Array<{ oid: string; size: number }> }
        const actions = (oid: string) => uploaded.has(oid) ? {} : { upload: { href: `${storage()}/upload/${oid}` } }
        return [200, {
          transfer: "basic",
          objects: objects.map(({ oid, size }) => ({ oid, size, actions: actions(oid) }))
        }]
      }],
      [/^\/api\/(models\/.+)\/commit\/main$/, ([, repo], body) => {
        const lines = body.toString().split("\n").map((line) => JSON.parse(line) as Line)
        const files = new Map(
          lines.filter(({ key }) => key !== "header").map(({ key, value }) => [
            value.path,
            key === "file" ? Buffer.from(value.content, "base64") : stored.get(value.oid)!
          ])
        )
        const before = self().repos.get(repo!)?.commits.at(-1)?.files ?? []
        const oid = self().commit(repo!, new Map([...before, ...files]))
        return [200, { commitOid: oid, commitUrl: `${self().endpoint}/${repo}/commit/${oid}`, hookOutput: "" }]
      }]
    ]

  const hub = (request: http.IncomingMessage, response: http.ServerResponse): boolean => {
    const url = new URL(request.url ?? "/", "http://hub").pathname
    for (const [route, handle] of routes) {
      const found = request.method === "POST" ? route.exec(url) : null
      if (found === null) continue
      const allowed = request.headers.authorization === `Bearer ${tokens.good}`
      void bodyOf(request).then((body) =>
        allowed ? answer(response, ...handle(found, body)) : answer(response, 401, { error: "Invalid credentials" })
      )
      return true
    }
    return false
  }

  const put = (request: http.IncomingMessage, response: http.ServerResponse, hash: string): void => {
    void bodyOf(request).then((body) => {
      if (sha256(body) !== hash) return answer(response, 400, { error: "other bytes" })
      stored.set(hash, body)
      uploaded.add(hash)
      return answer(response, 200, {})
    })
  }
  return { hub, put }
}
