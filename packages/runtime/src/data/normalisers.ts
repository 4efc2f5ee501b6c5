// Every shape of rows that becomes examples, by the language's word for it: a new word does not compile until it is here.
import { BadRow } from "@penchant/dsl/Errors"
import type { Format } from "@penchant/dsl/Normalise"
import type { Example } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"
import {
  type Fields,
  fieldsOf,
  type NormaliseOptions,
  type Normaliser,
  normaliser,
  type Part,
  type Report
} from "./normalised.ts"
import { hhPart } from "./normaliseHh.ts"
import { implicitPart } from "./normaliseImplicit.ts"
import { plainPart } from "./normalisePlain.ts"
import { sharegptPart } from "./normaliseSharegpt.ts"
import { tldrPart } from "./normaliseTldr.ts"
import { ultrafeedbackPart } from "./normaliseUltrafeedback.ts"
import { unpairedPart } from "./normaliseUnpaired.ts"
import type { Row } from "./rows.ts"

const parts: Record<Format, (fields: Fields, columns: ReadonlyArray<string>) => Part> = {
  hh: hhPart,
  implicit: implicitPart,
  plain: plainPart,
  sharegpt: sharegptPart,
  tldr: tldrPart,
  ultrafeedback: ultrafeedbackPart,
  unpaired: unpairedPart
}

export interface FormatOptions extends NormaliseOptions {
  /** Copied; they must be finite numbers. */
  readonly columns?: ReadonlyArray<string>
}

/** Takes rows of a format apart, one by one. */
export const normaliserOf = (format: Format, { columns = [], ...options }: FormatOptions = {}): Normaliser =>
  normaliser(parts[format](fieldsOf(options.file ?? "rows"), columns), options)

export interface Normalised extends Report {
  readonly pairs: ReadonlyArray<Example>
}

/** All rows of a list at once. */
export const normalise = (
  format: Format,
  rows: ReadonlyArray<Row>,
  options?: FormatOptions
): Result.Result<Normalised, BadRow> => {
  const { close, finish, take } = normaliserOf(format, options)
  return Result.try({
    try: () => {
      try {
        return { pairs: rows.map(take).filter((example) => example !== undefined), ...finish() }
      } finally {
        close()
      }
    },
    catch: (error) => {
      if (error instanceof BadRow) return error
      throw error
    }
  })
}
