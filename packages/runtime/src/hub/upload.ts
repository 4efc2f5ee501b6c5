// Files of a finished model to a repository of the Hub, in one commit: all of them are there, or none is.
import { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { type Hub, makeHub } from "./Hub.ts"
import { asking } from "./repository.ts"

export interface Upload {
  /** Name in the repository -> bytes, or a file. */
  readonly files: Readonly<Record<string, Uint8Array | { readonly path: string }>>
  readonly title: string
  readonly visibility: "private" | "public"
}

/** Milliseconds for an answer after a large body: the server may look through all of it first. */
const answerTimeout = 600_000

const contentOf = async (content: Uint8Array | { readonly path: string }): Promise<Blob> =>
  content instanceof Uint8Array
    ? new Blob([Uint8Array.from(content)])
    : (await import("node:fs")).openAsBlob(content.path)

/** Makes the repository if it is not there, and returns the page of the commit. */
export const upload = Effect.fn("upload")(function*(hub: Hub, id: string, { files, title, visibility }: Upload) {
  const repo = `models/${id}` as const
  if (hub.settings.offline) {
    return yield* new HubError({
      repo,
      reason: "offline",
      problem: "HF_HUB_OFFLINE is set",
      remedy: "unset it, or publish as a folder"
    })
  }
  if (hub.settings.token === undefined) {
    return yield* new HubError({ repo, reason: "token", problem: "publishing needs a token", remedy: "set HF_TOKEN" })
  }
  const patient = makeHub({ ...hub.settings, answerTimeout })
  // Our fetch sends the token; the library wants one that looks like one.
  const accessToken = "hf_"
  const designation = { type: "model" as const, name: id }
  yield* asking(
    patient,
    repo,
    ({ createRepo }, options) => createRepo({ repo: designation, visibility, accessToken, ...options })
  ).pipe(
    Effect.catchIf(({ reason }) => reason === "exists", () => Effect.void)
  )
  const done = yield* asking(patient, repo, async ({ uploadFiles }, options) => {
    const contents = await Promise.all(
      Object.entries(files).map(async ([path, content]) => ({ path, content: await contentOf(content) }))
    )
    return uploadFiles({ repo: designation, files: contents, commitTitle: title, useXet: false, ...options })
  })
  return done?.commit.url ?? `${hub.settings.endpoint}/${id}`
})
