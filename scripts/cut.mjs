// Empties functions of a WebAssembly module that are never called, but are pointed to, so that no tool sees that they are unused.
//
// Each erased view of tachys 0.2 points to an asynchronous twin of its hydration. Only `hydrate_lazy` ever calls one, and the page is
// hydrated by `hydrate_body`. The twins become `unreachable`; wasm-opt takes away what only they called. Usage: node scripts/cut.mjs
// IN OUT. Fails where there is none: then a new release of the library has no such twins, and this step can go.

import { readModule, writeModule } from "./wasm_module.mjs";

// Only what such a twin does when it is polled. The linker keeps one of several like functions under one of their names: a twin's
// beginning, or a function within one, may be somebody else's too, and so may what is short.
const NEVER_CALLED = /::hydrate_async(::\{\{closure\}\})+::h[0-9a-f]{16}$/;
const BYTES_MIN = 100;
// No locals, `unreachable`, `end`.
const TRAP = Buffer.from([0x00, 0x00, 0x0b]);

const [, , from, to] = process.argv;
const module = readModule(from);
let cut = 0;
module.bodies = module.bodies.map((body, local) => {
  if (body.length < BYTES_MIN || !NEVER_CALLED.test(module.names.get(module.imported + local) ?? "")) return body;
  cut += 1;
  return TRAP;
});
if (cut === 0) throw new Error(`${from}: no function is named ${NEVER_CALLED}`);
writeModule(to, module);
