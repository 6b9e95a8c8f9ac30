/** The references say what the code says, and the guides name only what there is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { ROOT } from '../../src/base/root.js'
import { references } from './reference.js'

t.test('references do not drift', (t) => {
  const made = references()
  for (const [name, text] of Object.entries(made)) {
    const file = new URL(`docs/reference/${name}`, ROOT)
    t.ok(existsSync(file) && readFileSync(file, 'utf8') === text, `docs/reference/${name}: npm run docs`)
    t.notMatch(text, /\| (any|undefined) \||\[object/, `${name}: every field has a type`)
  }
  t.same(readdirSync(new URL('docs/reference/', ROOT)).sort(), Object.keys(made).sort(), 'and there are no others')
  t.end()
})
