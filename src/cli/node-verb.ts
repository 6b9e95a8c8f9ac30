/** Verbs that ask the running node of a directory: its API, idempotency keys, and what to do where an answer is missing. */
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { ApiClient } from '../api/client.js'
import { connectApi } from '../api/client.js'
import { MeridianError } from '../base/errors.js'
import { EXIT, exitCodeOf } from './exit.js'
import type { Output } from './output.js'
import { type CommonOptions, DEFAULT_DIR, outputOf, verb } from './verb.js'

export interface NodeVerbOptions extends CommonOptions {
  readonly dir: string
}

export interface WriteVerbOptions extends NodeVerbOptions {
  readonly key?: string
}

export const nodeVerb = (name: string, description: string): Command =>
  verb(name, description).option('--dir <directory>', 'directory of the running node', DEFAULT_DIR)

export const writeVerb = (name: string, description: string): Command =>
  nodeVerb(name, description).option('--key <key>', 'idempotency key: the same key acts once (default: a new one)')

/** Undefined where no node answers for this directory: it is stopped, or was killed and left its api.json behind. */
export async function runningApi(dir: string): Promise<ApiClient | undefined> {
  try {
    const api = await connectApi(dir)
    await api.node()
    return api
  } catch (error) {
    if (error instanceof MeridianError) return undefined // nobody there, or somebody else with the port of a dead one
    throw error
  }
}

export interface Asked {
  readonly api: ApiClient
  readonly out: Output
}

export const ask = async (options: NodeVerbOptions): Promise<Asked> => ({
  api: await connectApi(options.dir),
  out: outputOf(options),
})

/** Runs a write; where its outcome is not known, says which key asks again. */
export async function write<T>(options: WriteVerbOptions, act: (asked: Asked, key: string) => Promise<T>): Promise<T> {
  const asked = await ask(options)
  const key = options.key ?? `cli-${randomUUID()}`
  try {
    return await act(asked, key)
  } catch (error) {
    const unknown =
      error instanceof MeridianError && exitCodeOf(error) === EXIT.pending && error.code !== 'exit_not_yet'
    if (unknown && options.key === undefined) {
      asked.out.note(`the outcome is not known; the same command with --key ${key} asks again and acts once`)
    }
    throw error
  }
}
