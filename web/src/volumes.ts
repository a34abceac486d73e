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
 * "outline" of a mask, "edges" of a template, "probability" and its number.
 */
export function load(
  url: string,
  kind: string,
  told: (share: number) => void,
  signal: AbortSignal,
): Promise<Volume> {
  const key = `${kind} ${url}`;
  const known = kept.get(key);
  if (known) {
    kept.delete(key); // to the end: what was used last goes last
    kept.set(key, known);
    return known;
  }
  const loading = read(url, kind, told, signal);
  kept.set(key, loading);
  loading.then(forget, () => kept.delete(key));
  return loading;
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
  const image = await NVImage.loadFromUrl({ url: "volume.nii.gz", name: "volume.nii.gz", buffer: packed });
  const voxels = image.img;
  if (!voxels) throw new Error("the volume cannot be read");
  let window: [number, number] = [0, 1];
  if (kind === "image" || kind === "field" || kind === "template") window = prepare(image, voxels);
  if (kind === "outline") outline(image, voxels);
  if (kind === "edges") window = edges(image, voxels);
  if (kind === "labels") image.setColormapLabel(labelled());
  else image.colormap = colours(kind); // NiiVue then takes a window of its own: ours comes after
  image.cal_min = window[0];
  image.cal_max = window[1];
  return { image, window, bytes: voxels.byteLength };
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
