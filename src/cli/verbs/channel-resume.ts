/** C11: the owner's word that the defect at which a channel stopped is mended: the next start takes it up again. */
import type { Command } from 'commander'
import { plus } from '../../base/amount.js'
import { MeridianError } from '../../base/errors.js'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { brokenAt } from '../../channel/invariants.js'
import { stoppedKey } from '../../node/stopped.js'
import { storedChannels } from '../../node/stored-channel.js'
import { type DataDirectory, openDirectory } from '../../store/directory.js'
import { confirm } from '../confirm.js'
import { UsageError } from '../exit.js'
import { runningApi } from '../node-verb.js'
import { passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, outputOf } from '../verb.js'

interface ResumeOptions extends DirectoryVerbOptions {
  readonly yes?: true
}

export const resumeVerb = (): Command =>
  directoryVerb('resume', 'take up a channel that stopped at a defect of this program; of a node that does not run')
    .argument('<channel>', 'channel id, or its first digits')
    .option('--yes', 'do not ask')
    .action(resume)

async function resume(name: string, options: ResumeOptions): Promise<void> {
  const { dir } = options
  // C7: one process owns the database; the node takes the channel up when it starts, with all that it owes.
  if ((await runningApi(dir)) !== undefined)
    throw new UsageError(`stop the node of ${dir} first, and start it afterwards`)
  const directory = need(await openDirectory(dir, await passphraseFor(options)))
  try {
    const { channel, clause } = await stoppedNamed(directory, name)
    const out = outputOf(options)
    out.note(
      `${idText(channel)} stopped at ${clause}, a defect of this program: a version that has it still stops there again`,
    )
    await confirm('Take the channel up again?', options.yes === true)
    await directory.store.write({ puts: [], deletes: [stoppedKey(channel)] })
    out.print(`${idText(channel)} runs again with the next start: meridian start --dir ${dir}`, {
      channel: idText(channel),
      stopped: null,
    })
  } finally {
    await directory.close()
  }
}

/** @throws MeridianError `not_found`, `internal` where what is stored breaks a clause by itself: no start takes that up */
async function stoppedNamed(directory: DataDirectory, name: string) {
  const named = []
  for await (const { terms, row, stopped } of storedChannels(directory)) {
    if (stopped === undefined || !idText(terms.channel).startsWith(name)) continue
    named.push({ channel: terms.channel, clause: stopped, terms, row })
  }
  const [found, another] = named
  if (another !== undefined) throw new UsageError(`${name} begins several stopped channels: write more of it`)
  if (found === undefined) throw new MeridianError('not_found', 'no channel of this name stopped; meridian doctor')
  const { row, terms } = found
  const broken = row === undefined ? undefined : brokenAt(row.state, { pool: plus(...terms.deposits) })
  if (broken !== undefined) throw new MeridianError('internal', `its stored state breaks ${broken}`)
  return found
}
