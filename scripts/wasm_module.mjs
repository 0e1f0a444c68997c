// Reads as much of a WebAssembly module as the steps of scripts/site need: names and bodies of its functions, all else as bytes.
//
// As the binary format says (webassembly.github.io/spec/core/binary/modules.html): a header of 8 bytes, then sections of id, length
// and content. Names are in the custom section "name", subsection 1; bodies in section 10.

import { readFileSync, writeFileSync } from "node:fs";

const [CUSTOM, IMPORTS, CODE] = [0, 2, 10];

/** `value` as an unsigned LEB128. */
export function leb(value) {
  const out = [];
  do {
    const rest = Math.floor(value / 128);
    out.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return Buffer.from(out);
}

/** `content` after its length. */
export const sized = (content) => Buffer.concat([leb(content.length), content]);

/**
 * The module in `file`: `sections` ({id, bytes} whole, without the one of names), `names` (by index of function), `imported` (how many
 * functions come from outside and have the first indices) and `bodies` (of the others, each after its length).
 */
export function readModule(file) {
  const bytes = readFileSync(file);
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
  const module = { header: bytes.subarray(0, 8), sections: [], names: new Map(), imported: 0, bodies: [] };
  const readNames = (end) => {
    while (at < end) {
      const kind = bytes[at++];
      const next = number() + at;
      for (let left = kind === 1 ? number() : 0; left > 0; left -= 1) module.names.set(number(), text());
      at = next;
    }
  };
  const readImport = () => {
    text();
    text();
    const kind = bytes[at++];
    if (kind === 0) {
      module.imported += 1;
      number();
    } else if (kind === 3) at += 2;
    else {
      if (kind === 1) at += 1;
      const limits = bytes[at++];
      number();
      if (limits & 1) number();
    }
  };
  while (at < bytes.length) {
    const begin = at;
    const id = bytes[at++];
    const end = number() + at;
    let isNames = false;
    if (id === CUSTOM) {
      isNames = text() === "name";
      if (isNames) readNames(end);
    } else if (id === IMPORTS) {
      for (let left = number(); left > 0; left -= 1) readImport();
    } else if (id === CODE) {
      for (let left = number(); left > 0; left -= 1) {
        const size = number();
        module.bodies.push(bytes.subarray(at, at + size));
        at += size;
      }
    }
    at = end;
    if (!isNames) module.sections.push({ id, bytes: bytes.subarray(begin, end) });
  }
  if (module.bodies.length === 0 || module.names.size < module.bodies.length / 2) {
    throw new Error(`${file}: its functions have no names`);
  }
  return module;
}

/** Writes `module` to `file`, with its bodies and names as they are now. */
export function writeModule(file, module) {
  const section = (id, content) => Buffer.concat([Buffer.from([id]), sized(content)]);
  const code = () => section(CODE, Buffer.concat([leb(module.bodies.length), ...module.bodies.map(sized)]));
  const sections = module.sections.map(({ id, bytes }) => (id === CODE ? code() : bytes));
  const entries = [...module.names].sort((a, b) => a[0] - b[0]);
  const list = entries.map(([index, name]) => Buffer.concat([leb(index), sized(Buffer.from(name))]));
  const functions = Buffer.concat([leb(entries.length), ...list]);
  const names = Buffer.concat([sized(Buffer.from("name")), Buffer.from([1]), sized(functions)]);
  writeFileSync(file, Buffer.concat([module.header, ...sections, section(CUSTOM, names)]));
}
