/** Bearer tokens of the API, each for its scopes: made here, written to a file, known to the node by their hash. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { SCOPES, type Scope } from '../../api/bodies.js'
import { tokenHash } from '../../api/tokens.js'
import { bytesToHex } from '../../base/bytes.js'
import { MeridianError } from '../../base/errors.js'
import { readInput } from '../directory.js'
import { UsageError } from '../exit.js'
import { ask, type NodeVerbOptions, nodeVerb, type WriteVerbOptions, write, writeVerb } from '../node-verb.js'
import { columns } from '../output.js'
import { group } from '../verb.js'

export const tokenVerb = (): Command =>
  group('token', 'bearer tokens of the API, each for its scopes', [createVerb, listVerb, revokeVerb])

interface CreateOptions extends WriteVerbOptions {
  readonly scope: readonly Scope[]
  readonly name: string
  readonly out: string
}

const createVerb = (): Command =>
  writeVerb('create', 'make a token; a file that is there already is made known again')
    .requiredOption('--scope <scope>', `${SCOPES.join(', ')}; again for each further one`, moreScopes)
    .option('--name <name>', 'what it is for, as `token list` shows it', 'unnamed')
    .requiredOption('--out <file>', 'where the token goes, readable by its owner only')
    .action(create)

function moreScopes(given: string, scopes: readonly Scope[] = []): readonly Scope[] {
  const added = given.split(',').map((text) => SCOPES.find((scope) => scope === text))
  if (added.includes(undefined)) throw new InvalidArgumentError(`one of ${SCOPES.join(', ')}`)
  return [...scopes, ...(added as Scope[])]
}

async function create(options: CreateOptions): Promise<void> {
  const { out: path, scope: scopes, name } = options
  const fresh = !existsSync(path)
  const token = fresh ? randomBytes(32).toString('base64url') : await tokenIn(path)
  if (fresh) await writeFile(path, `${token}\n`, { mode: 0o600, flag: 'wx' })
  try {
    await write(options, async ({ api, out }, key) => {
      const made = await api.createToken(key, { name, scopes, hash: bytesToHex(tokenHash(token)) })
      out.print(`token ${made.id} (${made.scopes.join(', ')}) in ${path}`, { ...made, file: path })
    })
  } catch (error) {
    // Refused: no node knows it. Where the outcome is open, the file stays for the repetition.
    const refused = error instanceof MeridianError && error.code !== 'unavailable' && error.action === 'fix_request'
    if (fresh && refused) await rm(path, { force: true })
    throw error
  }
}

async function tokenIn(path: string): Promise<string> {
  const text = new TextDecoder().decode(await readInput(path)).trim()
  if (!/^[\w-]{43}$/.test(text)) throw new UsageError(`${path} is there and holds no token: name another file`)
  return text
}

const listVerb = (): Command => nodeVerb('list', 'tokens by name and scope, without themselves').action(list)

async function list(options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const { tokens } = await api.tokens()
  if (out.json) {
    for (const token of tokens) out.print('', token)
    return
  }
  const time = (seconds: number): string => new Date(seconds * 1_000).toISOString()
  const rows = tokens.map(({ id, name, scopes, created }) => [id, name, scopes.join(','), time(created)])
  out.print(columns([['id', 'name', 'scopes', 'created'], ...rows]), {})
}

const revokeVerb = (): Command =>
  writeVerb('revoke', 'end a token at once')
    .argument('<id>', 'as `token list` shows it')
    .action((id: string, options: WriteVerbOptions) =>
      write(options, async ({ api, out }, key) => {
        await api.revokeToken(key, id)
        out.print(`revoked ${id}`, { id, revoked: true })
      }),
    )
