/** PRODUCT.md's layout and import rule, and the house's limits, as a test: no file of the tree escapes it. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { ROOT } from '../../src/base/root.js'

const root = fileURLToPath(ROOT)

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()
}

const BELOW_ADAPTERS = ['base', 'privacy', 'store', 'wire', 'contract']
const CORES = [...BELOW_ADAPTERS, 'chain-adapter']
const BELOW_NODE = [...CORES, 'channel', 'router', 'wallet', 'watchtower']

/** What each layer may import; the order is PRODUCT.md's. A layer may always import itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  privacy: ['base'],
  store: ['base'],
  wire: ['base'],
  contract: ['base', 'privacy'],
  'chain-adapter': BELOW_ADAPTERS,
  channel: ['base', 'privacy', 'contract'],
  router: ['base', 'privacy', 'contract'],
  wallet: CORES,
  watchtower: [...CORES, 'channel'],
  node: BELOW_NODE,
  api: [...BELOW_NODE, 'node'],
  cli: [...BELOW_NODE, 'node', 'api'],
}
const PURE = new Set(['contract', 'channel', 'router'])

function layerOf(file: string): string {
  const parts = file.split('/')
  if (parts[1] === 'chain-adapter' && parts[2] === 'contract') return 'contract'
  return parts[1] ?? ''
}

function sourceOf(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.ES2022, true)
}

function importsOf(source: ts.SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      found.push((node.moduleSpecifier as ts.StringLiteral).text)
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [first] = node.arguments
      if (first !== undefined && ts.isStringLiteral(first)) found.push(first.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function longFunctions(source: ts.SourceFile, limit: number): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const from = source.getLineAndCharacterOfPosition(node.getStart()).line
      const to = source.getLineAndCharacterOfPosition(node.getEnd()).line
      if (to - from + 1 >= limit) found.push(`${source.fileName}:${from + 1} has ${to - from + 1} lines`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function anyTypes(source: ts.SourceFile): number[] {
  const lines: number[] = []
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword)
      lines.push(source.getLineAndCharacterOfPosition(node.getStart()).line + 1)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return lines
}

const sources = filesUnder('src')
const parsed = new Map(sources.map((file) => [file, sourceOf(file)]))

t.test('imports go one way', (t) => {
  for (const [file, source] of parsed) {
    const layer = layerOf(file)
    const allowed = MAY_IMPORT[layer]
    t.ok(allowed !== undefined, `${file} stands in a folder of the layout`)
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith('.')) continue
      const target = layerOf(relative(root, join(root, dirname(file), specifier)))
      if (target !== layer && !allowed?.includes(target)) t.fail(`${file} (${layer}) imports ${specifier} (${target})`)
    }
  }
  t.end()
})

t.test('the pure cores hold no clock, randomness, async, logger or node: module', (t) => {
  const forbidden =
    /\b(Date\.now|new Date\b|Math\.random|performance\.now|setTimeout|setInterval|queueMicrotask|async|await|Promise|console|process)\b/
  for (const [file, source] of parsed) {
    if (!PURE.has(layerOf(file))) continue
    const impure = importsOf(source).filter(
      (name) => name.startsWith('node:') || /^(pino|ws|fastify|level)$/.test(name),
    )
    t.same(impure, [], `${file} imports nothing impure`)
    const scanner = ts.createScanner(ts.ScriptTarget.ES2022, true, ts.LanguageVariant.Standard, source.text)
    let code = ''
    for (let kind = scanner.scan(); kind !== ts.SyntaxKind.EndOfFileToken; kind = scanner.scan()) {
      if (kind !== ts.SyntaxKind.StringLiteral)
        code += kind === ts.SyntaxKind.DotToken ? '.' : `${scanner.getTokenText()} `
    }
    const found = forbidden.exec(code.replace(/ \./g, '.'))
    t.equal(found?.[0], undefined, `${file} is pure`)
  }
  t.end()
})

t.test('time and randomness come in from outside: a simulation owns them', (t) => {
  const ambient =
    /\b(Date\.now|new Date\b|Math\.random|performance|set(Timeout|Immediate|Interval)|queueMicrotask|nextTick|random(Bytes|Int|UUID|Fill))\b/
  for (const [file, source] of parsed) {
    if (!['wallet', 'watchtower', 'node'].includes(layerOf(file))) continue
    t.equal(ambient.exec(source.text)?.[0], undefined, `${file} asks Timers and Entropy (wire/environment.ts)`)
  }
  t.end()
})

t.test('files stay under 400 lines, functions under 70, and nothing is `any`', (t) => {
  for (const file of [...sources, ...filesUnder('test')]) {
    const source = parsed.get(file) ?? sourceOf(file)
    const lines = source.text.split('\n').length - 1
    t.ok(lines < 400, `${file} has ${lines} lines`)
    if (file.startsWith('src')) t.same(longFunctions(source, 70), [], `${file}: functions are short`)
    t.same(anyTypes(source), [], `${file}: nothing is \`any\``)
    if (!file.startsWith('test/house')) {
      t.notMatch(source.text, /(@ts-ignore|@ts-nocheck|catch \{\s*\})/, `${file} hides nothing`)
    }
  }
  t.end()
})

t.test('every source file is reached from another or is an entry', (t) => {
  const reached = new Set<string>()
  for (const file of [...sources, ...filesUnder('test'), ...filesUnder('bin'), ...filesUnder('scripts')]) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const match of text.matchAll(/['"`](\.{1,2}\/[^'"`\n]+?)\.(?:js|ts)\b/g)) {
      const target = relative(root, join(root, dirname(file), match[1]!))
      reached.add(`${target.replace(/^dist\//, '')}.ts`)
    }
  }
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>
  }
  for (const [, path] of JSON.stringify(exports).matchAll(/"\.\/dist\/([^"]+)\.js"/g)) reached.add(`${path}.ts`)
  for (const file of sources) t.ok(reached.has(file), `${file} is not dead`)
  t.end()
})
