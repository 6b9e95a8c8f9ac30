/** The suites of the privacy layer once more, on BigInt alone (P8: same results). */
process.env['MERIDIAN_MODEXP'] = 'pure'
await import('./paillier.test.js')
await import('./key-proof.test.js')
await import('./records.test.js')
