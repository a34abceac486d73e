// Colours of what is laid over an image.

/** Labels and tissues, as far apart as they go; the first three are CSF, grey and white matter. */
const LABELS: [number, number, number][] = [
  [80, 160, 255], [255, 120, 90], [120, 220, 120], [255, 200, 60], [190, 130, 255],
  [90, 220, 220], [255, 130, 200], [170, 170, 90], [150, 100, 70],
];
/** As in the reports. */
const MASK: [number, number, number] = [255, 176, 32];
const EDGES: [number, number, number] = [53, 214, 255];

/** NiiVue's name of the colours of a kind of volume. */
export function colours(kind: string): string {
  const known: Record<string, string> = {
    image: "gray", field: "viridis", template: "gray", mask: "mask", outline: "mask", edges: "edges",
  };
  return known[kind] ?? "gray";
}

/** All colours of ours, by name, for NiiVue. */
export function tables() {
  const one = ([r, g, b]: [number, number, number]) => ({ R: [r, r], G: [g, g], B: [b, b], A: [0, 255], I: [0, 255] });
  return [["mask", one(MASK)], ["edges", one(EDGES)]] as const;
}

/** The label of the probability of a tissue, by its name, else by its place. */
export function tissue(title: string, place: number): number {
  const known = ["csf", "gm", "wm"].findIndex((t) => title.toLowerCase().startsWith(t));
  return 1 + (known >= 0 ? known : place);
}

/** A table of labels: 0 is nothing. */
export function labelled() {
  const index = [...Array(256).keys()];
  const colour = index.map((i) => (i === 0 ? [0, 0, 0] : (LABELS[(i - 1) % LABELS.length] as number[])));
  const part = (c: number) => colour.map((rgb) => rgb[c] as number);
  return { R: part(0), G: part(1), B: part(2), A: index.map((i) => (i ? 255 : 0)), I: index };
}
