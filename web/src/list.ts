// The list of images, and what of it is shown.
import type { Said, Summary, Verdict } from "./api";
import { find, make } from "./dom";

export const VERDICT_WORDS: Record<string, string> = {
  fail: "fail", look: "look", pass: "pass", none: "not judged",
};
const RATING_WORDS: Record<string, string> = {
  none: "not rated by you", pass: "you: pass", unsure: "you: unsure", fail: "you: fail",
};
const MARKS: Record<Said, string> = { pass: "✓", fail: "✗", unsure: "?" };

export class List {
  shown: Summary[] = [];
  private images: Summary[] = [];
  private rows = new Map<string, HTMLButtonElement>();

  constructor(
    private readonly open: (id: string) => void,
    private readonly mine: (image: Summary) => Said | null,
  ) {
    for (const name of ["text", "verdict", "rating", "contrast", "site"]) {
      find(`filter-${name}`).addEventListener("input", () => this.filter());
    }
    find("filters").addEventListener("submit", (e) => e.preventDefault());
  }

  fill(images: Summary[]): void {
    this.images = images;
    choices("verdict", "all verdicts", present(images.map((i) => i.verdict ?? "none")), VERDICT_WORDS);
    choices("rating", "all ratings", ["none", "pass", "unsure", "fail"], RATING_WORDS);
    choices("contrast", "all contrasts", present(images.map((i) => i.contrast)));
    choices("site", "all sites", present(images.map((i) => i.site ?? "")));
    this.rows.clear();
    for (const image of images) this.rows.set(image.id, this.row(image));
    this.filter();
  }

  /** Show what the filters leave. What was just rated stays until the filters are touched. */
  filter(): void {
    const text = value("text").trim().toLowerCase();
    const [verdict, rating, contrast, site] = ["verdict", "rating", "contrast", "site"].map(value);
    this.shown = this.images.filter(
      (i) =>
        (!verdict || (i.verdict ?? "none") === verdict) &&
        (!rating || (this.mine(i) ?? "none") === rating) &&
        (!contrast || i.contrast === contrast) &&
        (!site || i.site === site) &&
        (!text || [i.case, i.contrast, i.site ?? "", ...i.reasons].join(" ").toLowerCase().includes(text)),
    );
    find("images").replaceChildren(
      ...this.shown.map((i) => make("li", {}, this.rows.get(i.id) as HTMLButtonElement)),
    );
    const all = this.images.length;
    find("shown").textContent =
      this.shown.length === all ? `${all} images, the worst first` : `${this.shown.length} of ${all} images`;
  }

  mark(image: Summary): void {
    const said = this.mine(image);
    const mark = this.rows.get(image.id)?.querySelector(".mine");
    if (!mark) return;
    mark.textContent = said ? MARKS[said] : "";
    mark.className = `mine ${said ?? ""}`;
    mark.setAttribute("aria-label", RATING_WORDS[said ?? "none"] ?? "");
  }

  markAll(): void {
    for (const image of this.images) this.mark(image);
  }

  select(id: string): void {
    for (const [other, row] of this.rows) {
      if (other === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    this.rows.get(id)?.scrollIntoView({ block: "nearest" });
  }

  /** The image so many rows further on, none at the ends. */
  beside(id: string | null, by: number): Summary | null {
    const at = this.shown.findIndex((i) => i.id === id);
    if (at < 0) return this.shown[0] ?? null;
    return this.shown[at + by] ?? null;
  }

  private row(image: Summary): HTMLButtonElement {
    const row = make(
      "button", { type: "button" },
      badge(image.verdict),
      make("span", { class: "name" }, make("b", {}, image.case), ` ${image.contrast}`),
      make("span", { class: "mine" }),
      make("span", { class: "codes soft" }, [image.site ?? "", ...image.reasons].filter(Boolean).join(" · ")),
    );
    row.addEventListener("click", () => this.open(image.id));
    return row;
  }
}

export function badge(verdict: Verdict): HTMLElement {
  return make("span", { class: `badge ${verdict ?? "none"}` }, VERDICT_WORDS[verdict ?? "none"] ?? "");
}

function value(name: string): string {
  return find<HTMLInputElement | HTMLSelectElement>(`filter-${name}`).value;
}

function present(values: string[]): string[] {
  return [...new Set(values)].filter(Boolean).sort();
}

function choices(name: string, all: string, values: string[], words: Record<string, string> = {}): void {
  const select = find<HTMLSelectElement>(`filter-${name}`);
  const before = select.value;
  select.replaceChildren(
    make("option", { value: "" }, all),
    ...values.map((v) => make("option", { value: v }, words[v] ?? v)),
  );
  select.hidden = values.length < 2;
  select.value = values.includes(before) ? before : "";
}
