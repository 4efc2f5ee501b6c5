// The pages of a column chunk against what their headers and the footer say of them, which hyparquet does not compare.
// Writers may leave checksums out; then a changed letter shows nowhere.
import type { ColumnMetaData, FileMetaData } from "hyparquet"
import { parquetHeader } from "hyparquet/src/column.js"
import { crc32 } from "node:zlib"

/** Bytes [start, end) of a column's pages, its dictionary first. */
export const extentOf = (column: ColumnMetaData): readonly [start: number, end: number] => {
  const start = Number(column.dictionary_page_offset ?? column.data_page_offset)
  return [start, start + Number(column.total_compressed_size)]
}

export type RowGroup = FileMetaData["row_groups"][number]

/**
 * What is wrong with a chunk's pages, in words: one that does not match its checksum, values that do not add up, entries
 * of a dictionary that is not there (which would be read as nulls). Throws on a header that cannot be read.
 */
export const damagedPage = (chunk: ArrayBuffer, count: number): string | undefined => {
  const reader = { view: new DataView(chunk), offset: 0 }
  let [values, dictionary] = [0, false]
  for (let page = 0; reader.offset < chunk.byteLength; page++) {
    const header = parquetHeader(reader)
    const { compressed_page_size: size, crc, type } = header
    if (!(size >= 0 && reader.offset + size <= chunk.byteLength)) return `page ${page} has ${size} bytes`
    if (crc !== undefined && crc32(new Uint8Array(chunk, reader.offset, size)) !== crc >>> 0) {
      return `page ${page} does not match its checksum`
    }
    reader.offset += size
    const data = type === "DATA_PAGE"
      ? header.data_page_header
      : type === "DATA_PAGE_V2"
      ? header.data_page_header_v2
      : undefined
    if (type === "DICTIONARY_PAGE") dictionary = true
    else if (data === undefined) return `page ${page} is of no known kind`
    else if (data.encoding.endsWith("_DICTIONARY") && !dictionary) {
      return `page ${page} needs a dictionary that is not there`
    }
    values += data?.num_values ?? 0
  }
  return values === count ? undefined : `its pages hold ${values} values, its footer says ${count}`
}
