// Names the functions of a WebAssembly module so that `wasm-opt --reorder-functions-by-name` puts alike ones side by side.
//
// A compressor finds what is near. The compiler's copies of one generic function differ by little and lie far apart: here they are
// named by their family (the name without its hash) and then by their size. Usage: node scripts/order.mjs IN OUT.
//
// The module is read as its binary format says it (webassembly.github.io/spec/core/binary/modules.html): a header of 8 bytes, then
// sections of id, length and content. Names are in the custom section "name", subsection 1.

import { readFileSync, writeFileSync } from "node:fs";

const [, , from, to] = process.argv;
const bytes = readFileSync(from);
let at = 8;

/** An unsigned LEB128 at `at`. */
function number() {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
}

function leb(value) {
  const out = [];
  do {
    const rest = Math.floor(value / 128);
    out.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return Buffer.from(out);
}

const text = () => {
  const length = number();
  at += length;
  return bytes.toString("utf8", at - length, at);
};

const sized = (content) => Buffer.concat([leb(content.length), content]);

const kept = [bytes.subarray(0, 8)];
let imported = 0;
const sizes = [];
const names = new Map();
while (at < bytes.length) {
  const begin = at;
  const id = bytes[at++];
  const length = number();
  const [content, end] = [at, at + length];
  let isNames = false;
  if (id === 0) {
    isNames = text() === "name";
    while (isNames && at < end) {
      const kind = bytes[at++];
      const next = number() + at;
      for (let left = kind === 1 ? number() : 0; left > 0; left -= 1) names.set(number(), text());
      at = next;
    }
  } else if (id === 2) {
    for (let left = number(); left > 0; left -= 1) {
      text();
      text();
      const kind = bytes[at++];
      if (kind === 0) {
        imported += 1;
        number();
      } else if (kind === 3) at += 2;
      else {
        if (kind === 1) at += 1;
        const limits = bytes[at++];
        number();
        if (limits & 1) number();
      }
    }
  } else if (id === 10) {
    for (let left = number(); left > 0; left -= 1) {
      const size = number();
      sizes.push(size);
      at += size;
    }
  }
  at = end;
  if (!isNames) kept.push(bytes.subarray(begin, end));
  void content;
}
if (sizes.length === 0 || names.size < sizes.length / 2) throw new Error(`${from}: its functions have no names`);

const family = (index) => (names.get(index) ?? "").replace(/(::h|17h)[0-9a-f]{16}E?$/, "");
const order = sizes.map((size, local) => ({ index: imported + local, size, family: family(imported + local) }));
order.sort((a, b) => (a.family < b.family ? -1 : a.family > b.family ? 1 : a.size - b.size || a.index - b.index));

const entries = [];
for (let index = 0; index < imported; index += 1) entries.push([index, `i${String(index).padStart(6, "0")}`]);
order.forEach(({ index }, place) => entries.push([index, `f${String(place).padStart(6, "0")}`]));
entries.sort((a, b) => a[0] - b[0]);
const list = entries.map(([index, name]) => Buffer.concat([leb(index), sized(Buffer.from(name))]));
const functions = Buffer.concat([leb(entries.length), ...list]);
const section = Buffer.concat([sized(Buffer.from("name")), Buffer.from([1]), sized(functions)]);
writeFileSync(to, Buffer.concat([...kept, Buffer.from([0]), sized(section)]));
