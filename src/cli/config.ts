/** Reading config.json: flag > environment > file > default (PRODUCT.md); an unknown key is refused with the nearest known one. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { MeridianError } from '../base/errors.js'
import { writeFileAtomic } from '../store/file.js'
import {
  CONFIG,
  CONFIG_NAMES,
  type Config,
  type ConfigFile,
  type ConfigName,
  environmentOf,
  OTHER_ENVIRONMENT,
} from './config-table.js'
import { filesOf } from './directory.js'
import { UsageError } from './exit.js'
import { nearestName } from './nearest.js'

export async function writeConfig(dir: string, config: ConfigFile): Promise<void> {
  await writeFileAtomic(filesOf(dir).config, utf8(`${JSON.stringify(config, null, 2)}\n`))
}

/**
 * @param flags of the command line: the strongest
 * @throws UsageError naming the key and its mend; MeridianError `keystore_missing` where `dir` is no directory of a node
 */
export async function readConfig(dir: string, flags: ConfigFile = {}, environment = process.env): Promise<Config> {
  const path = filesOf(dir).config
  if (!existsSync(path)) throw new MeridianError('keystore_missing', `${dir} was not made by init`)
  checkEnvironment(environment)
  const file = parseFile(path, await readFile(path, 'utf8'))
  const given = Object.fromEntries(
    CONFIG_NAMES.map((name) => [
      name,
      chosenValue(name, [
        { where: `--${name}`, value: flags[name] },
        { where: environmentOf(name), value: environment[environmentOf(name)] },
        { where: `${path}: "${name}"`, value: file[name] },
      ]),
    ]),
  )
  for (const name of CONFIG_NAMES) {
    if (CONFIG[name].required && given[name] === undefined)
      throw new UsageError(`${path} has no "${name}": write it there or give --${name}`)
  }
  const config = given as unknown as Config
  if (config.tower_receipts_required > config.towers.length) {
    throw new UsageError(`${path}: "tower_receipts_required" is more than there are "towers"`)
  }
  return config
}

/** For `.option('--set <key=value>', …, moreSettings)`; values are checked with the others. @throws InvalidArgumentError */
export function moreSettings(given: string, settings: ConfigFile = {}): ConfigFile {
  const at = given.indexOf('=')
  const name = given.slice(0, Math.max(at, 0))
  if (at > 0 && CONFIG_NAMES.some((known) => known === name)) return { ...settings, [name]: given.slice(at + 1) }
  const near = nearestName(name, CONFIG_NAMES)
  throw new InvalidArgumentError(near === undefined ? 'key=value, a key of config.json' : `did you mean ${near}=…?`)
}

const PREFIX = 'MERIDIAN_'

/** A variable that is nearly one of ours would be taken for one by whoever set it. @throws UsageError */
export function checkEnvironment(environment: NodeJS.ProcessEnv): void {
  const known = [...CONFIG_NAMES.map(environmentOf), ...Object.keys(OTHER_ENVIRONMENT)]
  const bare = known.map((name) => name.slice(PREFIX.length))
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue
    if (known.includes(`${name}_FILE`)) throw new UsageError(`${name}: a secret comes as a file, ${name}_FILE`)
    const near = nearestName(name.slice(PREFIX.length), bare)
    if (near !== undefined) throw new UsageError(`unknown variable ${name}, did you mean ${PREFIX}${near}?`)
  }
}

function parseFile(path: string, text: string): Record<string, unknown> {
  const file = z.record(z.string(), z.unknown()).safeParse(parseJson(path, text))
  if (!file.success) throw new UsageError(`${path} is no JSON object`)
  for (const name of Object.keys(file.data)) {
    if (CONFIG_NAMES.some((known) => known === name)) continue
    const near = nearestName(name, CONFIG_NAMES)
    throw new UsageError(
      `${path}: unknown key "${name}"${near === undefined ? `; known are ${CONFIG_NAMES.join(', ')}` : `, did you mean "${near}"?`}`,
    )
  }
  return file.data
}

/** The first that is given, checked. */
function chosenValue(
  name: ConfigName,
  sources: readonly { readonly where: string; readonly value: unknown }[],
): unknown {
  const { schema, fallback, bounds } = CONFIG[name]
  const source = sources.find(({ value }) => value !== undefined)
  if (source === undefined) return fallback
  const parsed = schema.safeParse(source.value)
  if (!parsed.success)
    throw new UsageError(`${source.where}: ${parsed.error.issues[0]?.message ?? 'wrong'} (${bounds})`)
  return parsed.data
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${path} is no JSON`) // the parser's message quotes the file
  }
}
