/** The package's own folder, for files that ship beside the code: compiled modules lie in `dist/src/<layer>/`. */
export const ROOT = new URL('../../../', import.meta.url)
