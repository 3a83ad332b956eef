// API docs of the library from its docstrings: `npm run docs` writes docs/api.md, and fails where an exported name has no docstring.
// usage: node scripts/api-docs.js [MODULE.ts [OUTPUT.md]]
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** @typedef {{ name: string, text: string, doc: string, members: { name: string, text: string, doc: string }[], where: string }} Entry */

/** One line of prose for each paragraph, with the tags that a reader of the docs needs. */
function docOf(symbol, checker) {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const tags = symbol.getJsDocTags(checker).flatMap(({ name, text: parts }) => {
    const said = ts.displayPartsToString(parts).trim();
    return said === '' || name === 'module' ? [] : [`*${name}* ${said}`];
  });
  return [text, ...tags].filter((part) => part !== '').join('\n\n');
}

const isHidden = (node) =>
  (ts.canHaveModifiers(node) &&
    ts
      .getModifiers(node)
      ?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword || kind === ts.SyntaxKind.OverrideKeyword)) ||
  (node.name !== undefined && ts.isPrivateIdentifier(node.name));

/** A declaration on one line, without its body and its initializer. */
function signatureOf(node, source) {
  const end = node.body?.pos ?? (ts.isVariableDeclaration(node) && node.type ? node.type.end : node.end);
  return source.text
    .slice(node.getStart(source), end)
    .replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function headOf(node, source) {
  const end = node.members.pos;
  return source.text
    .slice(node.getStart(source), end)
    .replace(/\{\s*$/, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** What is said of one exported name. */
function entryOf(name, symbol, checker) {
  const [node] = symbol.declarations ?? [];
  if (node === undefined) throw new Error(`${name} is declared nowhere`);
  const source = node.getSourceFile();
  const grouped = ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node);
  const statement = ts.isVariableDeclaration(node) ? checker.typeToString(checker.getTypeAtLocation(node)) : '';
  const text = grouped
    ? headOf(node, source)
    : ts.isVariableDeclaration(node)
      ? `const ${name}: ${statement}`
      : signatureOf(node, source);
  const members = grouped
    ? node.members
        .filter((member) => !isHidden(member))
        .map((member) => {
          const own = member.name && checker.getSymbolAtLocation(member.name);
          return {
            name: member.name?.getText(source) ?? 'constructor',
            text: signatureOf(member, source),
            doc: own === undefined ? '' : docOf(own, checker),
          };
        })
    : [];
  return { name, text, doc: docOf(symbol, checker), members, where: relative(ROOT, source.fileName) };
}

/**
 * Reads the exported names of a module.
 * @param {string} entry path of the module
 * @returns {Entry[]} in order of their names
 */
export function readApi(entry) {
  const { config } = ts.readConfigFile(resolve(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${entry} is no module`);
  return checker
    .getExportsOfModule(module)
    .map((symbol) => {
      const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      return entryOf(symbol.name, real, checker);
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The docs as Markdown. */
export function toMarkdown(entries) {
  const sections = entries.map(({ name, text, doc, members, where }) => {
    const code = ['```ts', text, '```'].join('\n');
    const list = members.map((member) => {
      const said = member.doc === '' ? '' : `: ${member.doc.replaceAll(/\s*\n+\s*/g, ' ')}`;
      return `* \`${member.text.replace(/;$/, '').replace(/^readonly /, '')}\`${said}`;
    });
    return [`## ${name}`, code, doc, ...(list.length > 0 ? [list.join('\n')] : []), `From \`${where}\`.`].join('\n\n');
  });
  return [
    '# API of the library',
    "`import { createMachine } from 'cloister'`: every exported name.",
    ...sections,
    '',
  ].join('\n\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [module = resolve(ROOT, 'src/index.ts'), output = resolve(ROOT, 'docs/api.md')] = process.argv.slice(2);
  const entries = readApi(resolve(module));
  const silent = entries.filter(({ doc }) => doc === '');
  for (const { name, where } of silent) console.error(`${where}: ${name} is exported without a docstring`);
  mkdirSync(dirname(resolve(output)), { recursive: true });
  writeFileSync(output, toMarkdown(entries));
  console.log(`${relative(process.cwd(), output)}: ${entries.length} names`);
  process.exitCode = silent.length === 0 ? 0 : 1;
}
