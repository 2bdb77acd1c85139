// Packs the built files, as they lie in the binary and go to the browser; says how large the first load is.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const folder = new URL("dist/app/assets/", import.meta.url).pathname;
const sizes = new Map();
for (const name of readdirSync(folder)) {
  const path = join(folder, name);
  const bytes = readFileSync(path);
  if (!/\.(js|css|svg)$/.test(name)) {
    sizes.set(name, bytes.length);
    continue;
  }
  const packed = gzipSync(bytes, { level: 9 });
  writeFileSync(`${path}.gz`, packed);
  rmSync(path);
  sizes.set(name, packed.length);
}
const page = readFileSync(new URL("dist/app/index.html", import.meta.url), "utf8");
const first = [...page.matchAll(/\/assets\/([^"]+)/g)].map((found) => found[1]);
const sum = (names) => Math.round(names.reduce((total, name) => total + (sizes.get(name) ?? 0), 0) / 1000);
const all = [...sizes.keys()];
console.log(`first load ${sum(first)} kB, everything ${sum(all)} kB (as sent)`);
const LIMIT_KB = 400;
if (sum(first) > LIMIT_KB) {
  console.error(`error: the first load is over ${LIMIT_KB} kB; load a view when it is opened`);
  process.exit(1);
}
