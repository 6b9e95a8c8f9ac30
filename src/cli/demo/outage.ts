/**
 * What goes wrong on purpose while claims are paid: the hub is killed in the middle of them; a payer that has kept an
 * old backup uses the hour, restores it by copying files and exits with a state that it has revoked; the tower, which
 * never slept, punishes it; the hub comes back and goes on.
 */
import { cp, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT, VerbExit } from '../exit.js'
import { HUB, THIEF } from './money.js'
import { insist, type Member } from './parties.js'
import type { Progress } from './progress.js'
import type { Party, Stage } from './stage.js'

export interface Outage {
  /** Hub and thief as they are reached from now on. */
  readonly hub: Party
  readonly thief: Party
  readonly kills: number
  readonly recovered: number
}

const GROUP = { name: THIEF, parties: [THIEF], hub: HUB } as const
/** S2: a node without a tower waits so long after a start before any exit. The thief does not want to be told in time. */
const HASTE = { MERIDIAN_ABSENT_S: '1' }
const ASK_MS = 250
const PUNISHED_MS = 120_000

const backupOf = (stage: Stage): string => `${stage.nodeDir(THIEF)}-backup`

/** The thief keeps a copy of its files, then goes on as if nothing were. @returns its node, started again. */
export async function keepBackup(stage: Stage, thief: Member): Promise<Member> {
  await stage.processes.stop(THIEF)
  await cp(stage.nodeDir(THIEF), backupOf(stage), { recursive: true })
  const [party] = await stage.start(GROUP)
  return { ...thief, party: { ...party!, hub: thief.party.hub } } // it dials the address that it knows
}

/** kill -9 with payments under way; the restarted hub finds its channels as it left them (C6, C8). */
export async function strike(stage: Stage, struck: Party, { channel }: Member, progress: Progress): Promise<Outage> {
  const { channels: before } = await struck.api.node()
  const kills = await stage.processes.kill(HUB)
  progress.say('the hub was killed with payments under way')
  const thief = await exitWithBackup(stage, channel)
  progress.say('a payer restored an old backup and exited while the hub was away: the tower took it all')
  const hub = await stage.startHub(HUB)
  const { channels: after, channels_stopped: stopped, channels_recovering: behind } = await hub.api.node()
  progress.say(`the hub is up again: ${after} of ${before} channels, ${stopped} stopped, ${behind} in RECOVERY`)
  // Its channel with the thief has ended meanwhile: it may still be counted, or not.
  const whole = after >= before - 1 && stopped === 0 && behind === 0
  return { hub, thief, kills, recovered: whole ? kills : 0 }
}

/** Resolves when the ledger has paid the whole channel to the other side (L7). */
async function exitWithBackup(stage: Stage, channel: string): Promise<Party> {
  await stage.processes.stop(THIEF)
  await rm(stage.nodeDir(THIEF), { recursive: true })
  await cp(backupOf(stage), stage.nodeDir(THIEF), { recursive: true })
  const [thief] = await stage.start(GROUP, 'start', HASTE)
  await insist(thief!, () => thief!.api.forceClose('exit-old', channel))
  for (const end = Date.now() + PUNISHED_MS; ; await sleep(ASK_MS)) {
    if ((await thief!.api.channel(channel)).phase === 'closed') return thief!
    if (Date.now() > end || stage.ending.aborted) throw new VerbExit(EXIT.checkFailed, 'the tower did not punish')
  }
}
