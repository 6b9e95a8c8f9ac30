/** What the demo's summary says besides counts and sums, where nothing went wrong (PRODUCT.md). */
export const FLAWLESS = {
  failed: 0,
  mismatches: 0,
  leaks: 0,
  leaks_unread_recordings: 0,
  leak_control_found: 3,
  audit: 'CONSISTENT',
  kills: 1,
  recovered: 1,
  breaches: 1,
  punished: 1,
} as const
