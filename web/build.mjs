// Makes src/mriprep/viewer/static/ of this folder. The same sources and lock file give the same bytes.
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(here, "../src/mriprep/viewer/static");

const made = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts" },
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
});

// Every package that is in the bundle, with its licence: their terms ask for it.
const packages = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const found = input.match(/^(?:.*\/)?node_modules\/(@[^/]+\/[^/]+|[^/]+)\//);
  if (found) packages.add(input.slice(0, found[0].length - 1));
}
const texts = [];
for (const folder of [...packages].sort()) {
  const about = JSON.parse(await readFile(path.join(here, folder, "package.json"), "utf8"));
  const files = (await readdir(path.join(here, folder))).filter((f) => /^(licen[cs]e|notice|copying)/i.test(f));
  const words = await Promise.all(files.sort().map((f) => readFile(path.join(here, folder, f), "utf8")));
  texts.push([`${about.name} ${about.version} (${about.license})`, ...words].join("\n\n").trim());
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const file of made.outputFiles) await writeFile(file.path, file.contents);
await writeFile(path.join(out, "licences.txt"), texts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n");
await cp(path.join(here, "src/icon.svg"), path.join(out, "icon.svg"));
// Last: that it is there says that all is there.
await cp(path.join(here, "index.html"), path.join(out, "index.html"));
if (!existsSync(path.join(out, "app.css"))) throw new Error("no styles were made");
