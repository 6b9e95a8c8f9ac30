/** `npm run docs` */
import { mkdirSync, writeFileSync } from 'node:fs'
import { ROOT } from '../../src/base/root.js'
import { references } from './reference.js'

const folder = new URL('docs/reference/', ROOT)
mkdirSync(folder, { recursive: true })
for (const [name, text] of Object.entries(references())) {
  writeFileSync(new URL(name, folder), text)
  console.log(`docs/reference/${name}`)
}
