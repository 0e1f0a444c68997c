// Gives short names to what a WebAssembly module and its loader know each other by. Usage: node scripts/rename.mjs MODULE LOADER, both
// changed in place.
//
// wasm-bindgen names imports and exports by what they are and a hash: 40 bytes each, which hardly compress, in both files. The loader
// is JavaScript that wasm-bindgen wrote: such a name stands there as a whole word and means nothing else.

import { readFileSync, writeFileSync } from "node:fs";

import { leb, sized } from "./wasm_module.mjs";

const [IMPORTS, EXPORTS] = [2, 7];
/** Shorter names, and those that people call (`hydrate`), stay. */
const NAME_CHARS_MIN = 12;

const [, , moduleFile, loaderFile] = process.argv;
const bytes = readFileSync(moduleFile);
let loader = readFileSync(loaderFile, "utf8");
let at = 8;

const number = () => {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
};
const text = () => {
  const length = number();
  at += length;
  return bytes.toString("utf8", at - length, at);
};

const short = new Map();
/** The name that stands for `name` from now on: the same for the same, in both directions. */
function shortened(name) {
  // What the loader does not know is for others, or for nobody.
  if (NAME_CHARS_MIN > name.length || !loader.includes(name)) return name;
  if (!short.has(name)) short.set(name, `$${short.size.toString(36)}`);
  return short.get(name);
}

/** What follows the names of an import or export, as it stands. */
const rest = (skip) => {
  const begin = at;
  skip();
  return bytes.subarray(begin, at);
};
const limits = () => {
  const flags = bytes[at++];
  number();
  if (flags & 1) number();
};
const importKind = () => {
  const kind = bytes[at++];
  if (kind === 0) number();
  else if (kind === 1) {
    at += 1;
    limits();
  } else if (kind === 2) limits();
  else if (kind === 3) at += 2;
  else throw new Error(`an import of kind ${kind} is not known here`);
};
const exportKind = () => {
  at += 1;
  number();
};

const name = (value) => sized(Buffer.from(value));
const out = [bytes.subarray(0, 8)];
while (bytes.length > at) {
  const begin = at;
  const id = bytes[at++];
  const end = number() + at;
  if (id === IMPORTS || id === EXPORTS) {
    const count = number();
    const entries = [];
    for (let left = count; left > 0; left -= 1) {
      // The name of the module that an import is from is one for all, and short.
      const from = id === IMPORTS ? [name(text())] : [];
      entries.push(...from, name(shortened(text())), rest(id === IMPORTS ? importKind : exportKind));
    }
    out.push(Buffer.from([id]), sized(Buffer.concat([leb(count), ...entries])));
  } else out.push(bytes.subarray(begin, end));
  at = end;
}

if (/(?<![\w$])\$[0-9a-z]{1,3}(?![\w$])/.test(loader)) throw new Error(`${loaderFile}: uses short names of its own`);
// As a whole word: `$a` followed by more is another name.
for (const [long, to] of [...short].sort((a, b) => b[0].length - a[0].length)) {
  const word = new RegExp(`(?<![\\w$])${long.replaceAll("$", "\\$")}(?![\\w$])`, "g");
  if (!word.test(loader)) throw new Error(`${loaderFile}: ${long} of the module is not in it`);
  loader = loader.replace(word, () => to);
}
writeFileSync(moduleFile, Buffer.concat(out));
writeFileSync(loaderFile, loader);
