// Volumes from files: unpacked, with the window and the colours in which they are shown.
import { NVImage } from "@niivue/niivue";
import { bytes } from "./api";
import { colours, labelled } from "./colours";
import { edges, outline } from "./outlines";

export interface Volume {
  image: NVImage;
  /** Window in which the image is first shown, in its own intensities. */
  window: [number, number];
  bytes: number;
}

/** The last volumes are kept, up to about this many bytes of voxels. */
const MOST = 600e6;
const kept = new Map<string, Promise<Volume>>();

/**
 * A volume, from its file or from memory.
 *
 * `kind` says how it is shown: "image", "field", "template", "mask", "labels",
 * "outline" of a mask, "edges" of a template.
 */
export function load(
  url: string,
  kind: string,
  told: (share: number) => void,
  signal: AbortSignal,
): Promise<Volume> {
  return once(`${kind} ${url}`, () => read(url, kind, told, signal));
}

function once(key: string, make: () => Promise<Volume>): Promise<Volume> {
  const known = kept.get(key);
  if (known) {
    kept.delete(key); // to the end: what was used last goes last
    kept.set(key, known);
    return known;
  }
  const loading = make();
  kept.set(key, loading);
  loading.then(forget, () => kept.delete(key));
  return loading;
}

/**
 * Labels of probabilities: of each voxel the most probable tissue, where one is more probable than none.
 *
 * NiiVue draws whatever is above nothing of the last of several volumes, so that they would hide each other.
 */
export function mostProbable(
  urls: string[],
  labels: number[],
  told: (share: number) => void,
  signal: AbortSignal,
): Promise<Volume> {
  return once(`most ${urls.join(" ")}`, async () => {
    const parts: Volume[] = [];
    for (const url of urls) parts.push(await read(url, "mask", told, signal));
    const { image } = parts[0] as Volume;
    const voxels = parts.map((p) => p.image.img as Voxels);
    const slopes = parts.map((p) => p.image.hdr?.scl_slope || 1);
    const offsets = parts.map((p) => p.image.hdr?.scl_inter || 0);
    const found = new Uint8Array((voxels[0] as Voxels).length);
    if (voxels.some((v) => v.length !== found.length)) throw new Error("tissues on different grids");
    for (let i = 0; i < found.length; i++) {
      let most = 0;
      let all = 0;
      for (let t = 0; t < voxels.length; t++) {
        const p = ((voxels[t] as Voxels)[i] as number) * (slopes[t] as number) + (offsets[t] as number);
        all += p;
        if (p > most) {
          most = p;
          found[i] = labels[t] as number;
        }
      }
      if (all < 0.5) found[i] = 0;
    }
    image.img = found;
    if (image.hdr) Object.assign(image.hdr, { datatypeCode: 2, numBitsPerVoxel: 8, scl_slope: 1, scl_inter: 0 });
    dressLabels(image);
    return { image, window: [0, 1], bytes: found.byteLength };
  });
}

async function forget(): Promise<void> {
  const sizes = new Map<string, number>();
  for (const [key, volume] of kept) {
    const done = await Promise.race([volume.catch(() => null), Promise.resolve(null)]);
    if (done) sizes.set(key, done.bytes);
  }
  let total = [...sizes.values()].reduce((a, b) => a + b, 0);
  for (const [key, size] of sizes) {
    if (total <= MOST) return;
    kept.delete(key);
    total -= size;
  }
}

async function read(
  url: string,
  kind: string,
  told: (share: number) => void,
  signal: AbortSignal,
): Promise<Volume> {
  const packed = await bytes(url, told, signal);
  const image = await NVImage.loadFromUrl({
    url: "volume.nii.gz",
    name: "volume.nii.gz",
    buffer: packed,
    colormap: colours(kind), // set later, NiiVue would look for a window a second time
  });
  const voxels = image.img;
  if (!voxels) throw new Error("the volume cannot be read");
  let window: [number, number] = [0, 1];
  if (kind === "image" || kind === "field" || kind === "template") window = prepare(image, voxels);
  if (kind === "outline") outline(image, voxels);
  if (kind === "edges") window = edges(image, voxels);
  if (kind === "labels") dressLabels(image);
  image.cal_min = window[0];
  image.cal_max = window[1];
  return { image, window, bytes: voxels.byteLength };
}

function dressLabels(image: NVImage): void {
  // NIfTI's code for labels: NiiVue then takes each label's own colour, not one between two labels.
  if (image.hdr) image.hdr.intent_code = 1002;
  image.setColormapLabel(labelled());
}

export type Voxels = NonNullable<NVImage["img"]>;

/**
 * The window: from the 1st to the 99.5th of a hundred of what is no background.
 *
 * Where a mask was applied to z-scores, nothing (0) lies amid the values and
 * would be grey, and in 3D hide the brain: it is drawn as the darkest.
 */
function prepare(image: NVImage, voxels: Voxels): [number, number] {
  const slope = image.hdr?.scl_slope || 1;
  const offset = image.hdr?.scl_inter ?? 0;
  const nothing = voxels[0] as number;
  const step = Math.max(1, Math.floor(voxels.length / 400_000));
  const some: number[] = [];
  let outside = 0;
  for (let i = 0; i < voxels.length; i += step) {
    const v = voxels[i] as number;
    if (v === nothing) outside++;
    else if (Number.isFinite(v)) some.push(v);
  }
  if (some.length < 2) return [0, 1];
  some.sort((a, b) => a - b);
  const at = (share: number) => some[Math.round(share * (some.length - 1))] as number;
  const low = at(0.01);
  const high = at(0.995);
  const constant = outside / (outside + some.length) > 0.05;
  if (constant && nothing > low) {
    const darkest = at(0);
    for (let i = 0; i < voxels.length; i++) if (voxels[i] === nothing) voxels[i] = darkest;
  }
  const from = (constant && nothing < low ? nothing : low) * slope + offset;
  const to = high * slope + offset;
  return to > from ? [from, to] : [from, from + 1];
}
