/**
 * Gossip between nodes (R4), types 131 to 135: odd, so that a peer of a version without it ignores them (W2), and sent only
 * to one that offers the feature. What a batch carries is signed by the hubs that it is about (router/announcement.ts).
 */
import { z } from 'zod'
import { zBytes, zBytesUpTo, zDigest, zSignature } from '../codec.js'
import { LIMITS } from '../limits.js'
import { define, type MessageOf } from './codec.js'

/** Between two hubs: the sender's half of the announcement of their channel. */
export const channelAgreement = define(
  131,
  'channelAgreement',
  z.strictObject({ channel: zDigest, signature: zSignature }),
)

/** What the sender's graph is, per range of channels (router/gossip.ts): a hub answers with what it has where they differ. */
export const graphDigests = define(133, 'graphDigests', z.strictObject({ digests: zBytes(4_096) }))

/** Announcements, a channel's before those of its policies. */
export const announcements = define(
  135,
  'announcements',
  z.strictObject({
    items: z.array(zBytesUpTo(LIMITS.announcement_bytes)).max(512),
  }),
)

export const GOSSIP_MESSAGES = [channelAgreement, graphDigests, announcements] as const
export type GossipMessage = MessageOf<(typeof GOSSIP_MESSAGES)[number]>
