/** What every verb has in common: --help, --version, --json, --dir, and that commander throws instead of exiting. */

import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { ROOT } from '../base/root.js'
import { isHttpUrl } from './http-url.js'
import { createOutput, type Output } from './output.js'

export const DEFAULT_DIR = './meridian-data'

export const version = (): string =>
  (JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string }).version

/** commander hands none of this down by addCommand; `main` reports the errors it throws. */
const command = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} })

/** A verb that only holds sub-verbs (`account`, `channel`), which take the options. */
export const group = (name: string, description: string, verbs: readonly (() => Command)[]): Command =>
  verbs.reduce((parent, make) => parent.addCommand(make()), command(name, description).enablePositionalOptions())

/** A verb or sub-verb that does something. */
export const verb = (name: string, description: string): Command =>
  command(name, description).option('--json', 'print one JSON object a line, errors too')

/** A verb that works on one directory and its secrets. */
export const directoryVerb = (name: string, description: string): Command =>
  verb(name, description)
    .option('--dir <directory>', 'directory of the node', DEFAULT_DIR)
    .option('--passphrase-file <file>', 'file with the passphrase (or MERIDIAN_PASSPHRASE_FILE; else it is asked for)')

export interface CommonOptions {
  readonly json?: true
}

export interface DirectoryVerbOptions extends CommonOptions {
  readonly dir: string
  readonly passphraseFile?: string
}

export const outputOf = (options: CommonOptions): Output =>
  createOutput(options.json === true, process.stdout, process.stderr)

/** For `.option(..., integer(min, max))`. */
export const integer =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(`a whole number from ${min} to ${max}`)
  }

/** For `.option(..., httpUrl)`: as configuration files have it too. */
export function httpUrl(text: string): string {
  if (isHttpUrl(text)) return text
  throw new InvalidArgumentError('an address such as http://127.0.0.1:8100')
}
