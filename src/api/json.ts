/**
 * JSON as the API takes it (RFC 8259), stricter than JSON.parse: bounded depth, no name twice in an object, no name that
 * objects are made of, no number longer than a double holds. What two readers could understand in two ways is refused.
 */
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'

const SPACE = /[ \t\n\r]*/y
/** Where one ends; what is in it, JSON.parse judges. */
const STRING = /"(?:[^"\\]|\\.)*"/sy
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const LITERAL = /true|false|null/y
/** Digits, sign and exponent of any double: more of them are no number that a program writes. */
const NUMBER_CHARACTERS = 24
const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const refused = (what: string): MeridianError => new MeridianError('bad_request', what)

/** @throws MeridianError `bad_request`, quoting nothing of the text */
export function parseJson(text: string): unknown {
  const reader = new Reader(text)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  #at = 0

  constructor(private readonly text: string) {}

  value(depth: number): unknown {
    if (depth > LIMITS.api_json_depth) throw refused(`the body is nested deeper than ${LIMITS.api_json_depth}`)
    this.#take(SPACE)
    if (this.#skip('{')) return this.#object(depth)
    if (this.#skip('[')) return this.#array(depth)
    const text = this.#take(STRING) ?? this.#take(LITERAL) ?? this.#number()
    return this.#scalar(text)
  }

  end(): void {
    this.#take(SPACE)
    if (this.#at < this.text.length) throw this.#noJson()
  }

  #object(depth: number): Record<string, unknown> {
    const members = new Map<string, unknown>()
    if (!this.#closes('}')) {
      do {
        this.#take(SPACE)
        const name = this.#scalar(this.#take(STRING) ?? this.#fail()) as string
        if (RESERVED.has(name)) throw refused(`unknown field ${name}`)
        if (members.has(name)) throw refused('a field of the body is there twice')
        this.#take(SPACE)
        if (!this.#skip(':')) throw this.#noJson()
        members.set(name, this.value(depth + 1))
      } while (this.#goesOn('}'))
    }
    return Object.fromEntries(members)
  }

  #array(depth: number): unknown[] {
    const items: unknown[] = []
    if (!this.#closes(']')) {
      do items.push(this.value(depth + 1))
      while (this.#goesOn(']'))
    }
    return items
  }

  #scalar(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      throw this.#noJson() // the parser's message quotes the body
    }
  }

  #number(): string {
    const text = this.#take(NUMBER) ?? this.#fail()
    if (text.length > NUMBER_CHARACTERS)
      throw refused('a number of the body is too long; amounts are strings of digits')
    return text
  }

  #closes(end: string): boolean {
    this.#take(SPACE)
    return this.#skip(end)
  }

  #goesOn(end: string): boolean {
    this.#take(SPACE)
    if (this.#skip(',')) return true
    return this.#skip(end) ? false : this.#fail()
  }

  #skip(character: string): boolean {
    if (this.text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  /** What matches here; undefined where nothing does. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.text)
    if (match === null) return undefined
    this.#at += match[0].length
    return match[0]
  }

  #fail(): never {
    throw this.#noJson()
  }

  #noJson(): MeridianError {
    return refused('the body is no JSON in UTF-8')
  }
}
