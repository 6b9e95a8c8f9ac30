/**
 * The leak search (issue A, item 4): amounts in all bytes of directories, files and recordings, as patterns.ts has them.
 * Findings name the place and the index of the amount, never the amount.
 *
 * LevelDB files are searched as they lie: stores are opened without compression, so a row's value stands in one piece but
 * where a log block of 32 KiB ends within it; the same row in its table, or its neighbours, do not share that place.
 */
import { createReadStream } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Amount } from '../../base/amount.js'
import { Matcher, type OnMatch, Scan } from './matcher.js'
import { type PatternKind, patternsOf } from './patterns.js'
import { RecordingReader } from './recording.js'

export type Medium = 'wire' | 'ledger' | 'disk' | 'log'

/** A file, or a directory with all that is under it. Files of `wire` are recordings: also their payloads are searched. */
export interface Place {
  readonly medium: Medium
  readonly path: string
}

export interface Finding {
  readonly medium: Medium
  readonly file: string
  /** `raw`: offset in the file; `payload`: offset in its unmasked messages and HTTP bodies, one byte between two. */
  readonly view: 'raw' | 'payload'
  readonly offset: number
  readonly kind: PatternKind
  /** Index into the amounts searched for. */
  readonly amount: number
}

export interface SearchReport {
  /** The first FINDINGS_KEPT. */
  readonly findings: readonly Finding[]
  readonly found: number
  readonly files: number
  readonly bytes: number
  /** Recordings of which only the raw bytes could be searched (TLS, a cut stream). */
  readonly opaque: number
}

const FINDINGS_KEPT = 1_000
const READ_BYTES = 1 << 20
/** Between two messages, so that no pattern is found across them and none is hidden by a neighbour's digit. */
const SEPARATOR = new Uint8Array(1)

/** @throws where a place is missing or cannot be read: what was not searched is not clean. */
export async function searchLeaks(amounts: readonly Amount[], places: readonly Place[]): Promise<SearchReport> {
  const search = new Search(new Matcher(patternsOf(amounts)))
  for (const place of places) for (const file of await filesUnder(place.path)) await search.file(place.medium, file)
  return search.report()
}

/** Links are not followed: what they point at is searched where it lies. */
async function filesUnder(path: string): Promise<string[]> {
  const status = await lstat(path)
  if (status.isFile()) return [path]
  if (!status.isDirectory()) return []
  const names = (await readdir(path)).sort()
  return (await Promise.all(names.map((name) => filesUnder(join(path, name))))).flat()
}

class Search {
  readonly #matcher: Matcher
  readonly #findings: Finding[] = []
  #found = 0
  #files = 0
  #bytes = 0
  #opaque = 0

  constructor(matcher: Matcher) {
    this.#matcher = matcher
  }

  report(): SearchReport {
    return {
      findings: this.#findings,
      found: this.#found,
      files: this.#files,
      bytes: this.#bytes,
      opaque: this.#opaque,
    }
  }

  async file(medium: Medium, file: string): Promise<void> {
    this.#files += 1
    const raw = new Scan(this.#matcher, this.#note(medium, file, 'raw'))
    const payload = new Scan(this.#matcher, this.#note(medium, file, 'payload'))
    const reader = new RecordingReader({
      bytes: (piece) => payload.push(piece),
      messageEnd: () => payload.push(SEPARATOR),
    })
    for await (const chunk of createReadStream(file, { highWaterMark: READ_BYTES })) {
      this.#bytes += chunk.length
      raw.push(chunk)
      if (medium === 'wire') reader.push(chunk)
    }
    raw.end()
    reader.end()
    payload.end()
    if (reader.opaque) this.#opaque += 1
  }

  #note(medium: Medium, file: string, view: Finding['view']): OnMatch {
    return (pattern, offset) => {
      this.#found += 1
      if (this.#findings.length >= FINDINGS_KEPT) return
      this.#findings.push({ medium, file, view, offset, kind: pattern.kind, amount: pattern.amount })
    }
  }
}
