/** Compiles one tree again and again: what did not change since the last time is neither parsed nor checked anew. */
import { join } from 'node:path'
import ts from 'typescript'

interface Parsed {
  readonly text: string
  readonly file: ts.SourceFile
}

export class Compiler {
  readonly #parsed = new Map<string, Parsed>()
  #last: ts.EmitAndSemanticDiagnosticsBuilderProgram | undefined

  constructor(private readonly root: string) {}

  /** Writes what changed. @returns the first complaint of the type checker. */
  compile(): string | undefined {
    const { options, fileNames } = ts.parseJsonConfigFileContent(
      ts.readConfigFile(join(this.root, 'tsconfig.json'), ts.sys.readFile).config,
      ts.sys,
      this.root,
    )
    const host = ts.createIncrementalCompilerHost(options)
    host.getSourceFile = (name, version) => this.#read(name, version)
    const program = ts.createEmitAndSemanticDiagnosticsBuilderProgram(fileNames, options, host, this.#last)
    this.#last = program
    const complaint =
      program.getSyntacticDiagnostics()[0] ?? program.getGlobalDiagnostics()[0] ?? program.getSemanticDiagnostics()[0]
    program.emit()
    if (complaint === undefined) return undefined
    return `${complaint.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(complaint.messageText, ' ')}`
  }

  #read(name: string, version: ts.ScriptTarget | ts.CreateSourceFileOptions): ts.SourceFile | undefined {
    const text = ts.sys.readFile(name)
    if (text === undefined) return undefined
    const known = this.#parsed.get(name)
    if (known?.text === text) return known.file
    const file = ts.createSourceFile(name, text, version, true)
    // What the builder compares; its type leaves it out.
    Object.assign(file, { version: ts.sys.createHash?.(text) ?? text })
    this.#parsed.set(name, { text, file })
    return file
  }
}
