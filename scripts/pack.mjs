// Gives the built files hashed names, writes pkg/manifest.json, compresses every text and wasm file beside itself
// (.br, .gz), prints the weight of a first load, and fails above its bound. Called by scripts/site with the site's folder.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const site = process.argv[2];
const pkg = join(site, "pkg");

/** Renames pkg/NAME.EXT to pkg/NAME.HASH.EXT and returns its new name. */
function hashed(name) {
  const digest = createHash("sha256").update(readFileSync(join(pkg, name))).digest("hex").slice(0, 16);
  const to = name.replace(/\.([a-z]+)$/, `.${digest}.$1`);
  renameSync(join(pkg, name), join(pkg, to));
  return to;
}

const wasm = hashed("milepost.wasm");
const loader = join(pkg, "milepost.js");
writeFileSync(loader, readFileSync(loader, "utf8").replaceAll("milepost_bg.wasm", wasm));
const manifest = { js: `/pkg/${hashed("milepost.js")}`, wasm: `/pkg/${wasm}`, css: `/pkg/${hashed("milepost.css")}` };
// Loaded by the page of the API only, and where files are sent: no part of a first load.
const later = { reference: `/pkg/${hashed("rapidoc.js")}`, sender: `/pkg/${hashed("sender.js")}` };
writeFileSync(join(pkg, "manifest.json"), JSON.stringify({ ...manifest, ...later }));

const compressible = new Set([".wasm", ".js", ".css", ".svg", ".txt", ".html", ".json", ".webmanifest"]);

/** Compresses every file below `folder` that gains from it. */
function compress(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) compress(path);
    else if (compressible.has(extname(entry.name))) {
      const plain = readFileSync(path);
      const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
      writeFileSync(`${path}.br`, brotliCompressSync(plain, { params }));
      writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
    }
  }
}
compress(site);

// Of what is large only the compressed variants are embedded: the server unpacks one for whoever takes neither.
const PLAIN_BYTES_MAX = 256 * 1024;
// What every page loads beside the program, under its own name.
const beside = { focus: "/focus.js", rows: "/csv.js" };
const plain = new Map(Object.values({ ...manifest, ...later, ...beside }).map((name) => [name, statSync(join(site, name)).size]));
for (const [name, bytes] of plain) if (bytes > PLAIN_BYTES_MAX) rmSync(join(site, name));

const size = (name) => statSync(join(site, name)).size;
const rows = Object.entries({ ...manifest, ...beside }).map(([kind, name]) => ({ kind, plain: plain.get(name), gzip: size(`${name}.gz`), brotli: size(`${name}.br`) }));
console.log("what a first load weighs, in bytes:");
console.log(["", "plain", "gzip", "brotli"].map((head) => head.padStart(10)).join(""));
for (const row of rows) console.log([row.kind, row.plain, row.gzip, row.brotli].map((cell) => String(cell).padStart(10)).join(""));
const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
console.log(["all", sum("plain"), sum("gzip"), sum("brotli")].map((cell) => String(cell).padStart(10)).join(""));

// What a first load may weigh: a little over what it does. Whoever needs more says here why.
const FIRST_LOAD_BYTES_MAX = 523_000;
if (sum("brotli") > FIRST_LOAD_BYTES_MAX) {
  console.error(`a first load weighs ${sum("brotli")} bytes: ${FIRST_LOAD_BYTES_MAX} are the bound, in scripts/pack.mjs`);
  process.exit(1);
}
