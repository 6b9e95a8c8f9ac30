import { CsvError, parse } from 'csv-parse/sync'

export interface CsvRecord {
  /** Physical line on which the record begins, counted from 1. */
  readonly line: number
  /** No fields: the line's quoting is broken, and the line after it was read as a record of its own. */
  readonly fields: readonly string[] | undefined
}

/** Bounds one record, and so what a quote that is never closed can swallow. */
const RECORD_CHARACTERS_MAX = 65_536

const OPTIONS = {
  skip_empty_lines: true,
  relax_column_count: true,
  record_delimiter: ['\r\n', '\n', '\r'],
  max_record_size: RECORD_CHARACTERS_MAX,
}

/** Every record of the file, none dropped: a broken one costs its line, not the rest of the file. */
export function csvRecords(bytes: Uint8Array): CsvRecord[] {
  const records: CsvRecord[] = []
  const lines = new LineCounter(bytes)
  let start = 0 // of the next record
  while (start < bytes.length) {
    const from = start
    try {
      parse(Buffer.from(bytes.buffer, bytes.byteOffset + from, bytes.length - from), {
        ...OPTIONS,
        bom: from === 0,
        on_record: (fields: string[], { bytes: end }) => {
          records.push({ line: lines.at(lines.afterBlankLines(start)), fields })
          start = from + end
          return null
        },
      })
      return records
    } catch (error) {
      if (!(error instanceof CsvError)) throw error
      start = lines.afterBlankLines(start)
      records.push({ line: lines.at(start), fields: undefined })
      start = lines.next(start)
    }
  }
  return records
}

const LF = 10
const CR = 13

/** Lines end with LF, CRLF or CR. Offsets are asked for in rising order, so the file is walked once. */
class LineCounter {
  #line = 1
  #offset = 0

  constructor(private readonly bytes: Uint8Array) {}

  at(offset: number): number {
    while (this.next(this.#offset) <= offset && this.#offset < this.bytes.length) {
      this.#offset = this.next(this.#offset)
      this.#line += 1
    }
    return this.#line
  }

  afterBlankLines(offset: number): number {
    let at = offset
    while (this.bytes[at] === LF || this.bytes[at] === CR) at += 1
    return at
  }

  /** Offset of the line after the one that `offset` is in. */
  next(offset: number): number {
    let at = offset
    while (at < this.bytes.length && this.bytes[at] !== LF && this.bytes[at] !== CR) at += 1
    return Math.min(this.bytes.length, at + (this.bytes[at] === CR && this.bytes[at + 1] === LF ? 2 : 1))
  }
}
