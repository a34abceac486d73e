// Outlines of masks and edges of images; both are written over the voxels they are made of.
import type { NVImage } from "@niivue/niivue";
import type { Voxels } from "./volumes";

/** Keep of a mask the voxels at its surface. */
export function outline(image: NVImage, voxels: Voxels): void {
  const full = voxels.slice();
  inside(image, (i, nx, slice) => {
    const deep =
      full[i] && full[i - 1] && full[i + 1] && full[i - nx] && full[i + nx] && full[i - slice] && full[i + slice];
    if (deep) voxels[i] = 0;
  });
}

/**
 * The edges of an image: where it is steep, and steeper than its neighbours across the edge.
 *
 * Returns the window in which edges alone are seen.
 */
export function edges(image: NVImage, voxels: Voxels): [number, number] {
  const v = voxels as unknown as ArrayLike<number>;
  const across = (i: number, step: number) => Math.abs((v[i + step] as number) - (v[i - step] as number));
  const steep = new Float32Array(voxels.length);
  const some: number[] = [];
  inside(image, (i, nx, slice) => {
    const s = Math.hypot(across(i, 1), across(i, nx), across(i, slice));
    steep[i] = s;
    if (s > 0 && i % 17 === 0) some.push(s); // enough to know how steep is steep
  });
  some.sort((a, b) => a - b);
  const share = (q: number) => some[Math.round(q * (some.length - 1))] ?? 1;
  const [low, high] = [share(0.7), share(0.97)];
  const thin = new Uint8Array(voxels.length); // 0 to 100 fits into whatever type the voxels have
  inside(image, (i, nx, slice) => {
    const s = steep[i] as number;
    if (s <= low) return;
    const [x, y, z] = [across(i, 1), across(i, nx), across(i, slice)];
    const step = x >= y && x >= z ? 1 : y >= z ? nx : slice;
    if (s < (steep[i - step] as number) || s < (steep[i + step] as number)) return;
    thin[i] = Math.min(100, (100 * (s - low)) / (high - low || 1));
  });
  voxels.set(thin as never);
  const slope = image.hdr?.scl_slope || 1;
  const offset = image.hdr?.scl_inter ?? 0;
  return [offset, 100 * slope + offset];
}

/** Call for each voxel that has neighbours on all sides. */
function inside(image: NVImage, act: (i: number, nx: number, slice: number) => void): void {
  const [, nx = 1, ny = 1, nz = 1] = image.hdr?.dims ?? [];
  for (let z = 1; z < nz - 1; z++) {
    for (let y = 1; y < ny - 1; y++) {
      const row = y * nx + z * nx * ny;
      for (let x = 1; x < nx - 1; x++) act(row + x, nx, nx * ny);
    }
  }
}
