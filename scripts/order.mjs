// Names the functions of a WebAssembly module so that `wasm-opt --reorder-functions-by-name` puts alike ones side by side.
//
// A compressor finds what is near. The compiler's copies of one generic function differ by little and lie far apart: here they are
// named by their family (the name without its hash) and then by their size. Usage: node scripts/order.mjs IN OUT.

import { readModule, writeModule } from "./wasm_module.mjs";

const [, , from, to] = process.argv;
const module = readModule(from);
const { imported, names, bodies } = module;

const family = (index) => (names.get(index) ?? "").replace(/(::h|17h)[0-9a-f]{16}E?$/, "");
const order = bodies.map((body, local) => ({ index: imported + local, size: body.length, family: family(imported + local) }));
order.sort((a, b) => (a.family < b.family ? -1 : a.family > b.family ? 1 : a.size - b.size || a.index - b.index));

module.names = new Map();
for (let index = 0; index < imported; index += 1) module.names.set(index, `i${String(index).padStart(6, "0")}`);
order.forEach(({ index }, place) => module.names.set(index, `f${String(place).padStart(6, "0")}`));
writeModule(to, module);
