// What is known of an image, beside it.
import { address, type Detail, type Metric, type Rating } from "./api";
import { find, make, short } from "./dom";
import { badge } from "./list";

export function showDetail(d: Detail, others: Rating[], known: Record<string, Metric>): void {
  const flagged = new Map(d.reasons.filter((r) => r.metric).map((r) => [r.metric, r.level]));
  find("details").replaceChildren(
    make("h2", {}, badge(d.verdict), ` ${d.case} `, make("span", { class: "soft" }, d.contrast)),
    make(
      "p", { class: "links" },
      d.report && make("a", { href: address(d.report), target: "_blank", rel: "noopener" }, "Report"),
      d.recipe && make("span", { class: "soft" }, ` recipe ${d.recipe}`),
    ),
    ...part(d.problem, () => make("p", { class: "reason fail" }, d.problem)),
    ...part(d.reasons.length, () =>
      make(
        "ul", { class: "reasons" },
        ...d.reasons.map((r) =>
          make(
            "li", { class: `reason ${r.level}` },
            r.says || r.code,
            r.hint && make("span", { class: "hint" }, ` ${r.hint}`),
          ),
        ),
      ),
    ),
    ...part(d.warnings.length, () =>
      make(
        "details", {},
        make("summary", {}, `${d.warnings.length} ${d.warnings.length === 1 ? "warning" : "warnings"}`),
        make("ul", {}, ...d.warnings.map((w) => make("li", {}, w))),
      ),
    ),
    ...part(d.facts.length, () =>
      make("dl", { class: "facts" }, ...d.facts.map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v)))),
    ),
    ...part(Object.keys(d.scores).length, () => table("Scores", d.scores, {}, flagged, {})),
    ...part(Object.keys(d.metrics).length, () => table("Metrics", d.metrics, d.missing, flagged, known)),
    ...part(others.length, () =>
      make(
        "details", {},
        make("summary", {}, "What others say"), // closed: nobody shall be led by it
        make(
          "ul", {},
          ...others.map((r) => make("li", {}, make("b", {}, r.rating), ` ${r.rater}${r.note ? `: ${r.note}` : ""}`)),
        ),
      ),
    ),
  );
}

function part(there: unknown, of: () => HTMLElement): HTMLElement[] {
  return there ? [of()] : [];
}

function table(
  title: string,
  values: Record<string, number | null>,
  missing: Record<string, string>,
  flagged: Map<string | null, string>,
  known: Record<string, Metric>,
): HTMLElement {
  const rows = Object.entries(values).map(([name, value]) => {
    const why = value === null ? missing[name] : undefined;
    const about = known[name];
    const unit = value === null ? "" : (about?.unit ?? "");
    return make(
      "tr", { class: flagged.get(name) ?? "" },
      make("th", about ? { scope: "row", title: `${name}: ${about.meaning}` } : { scope: "row" }, about?.title ?? name),
      make("td", why ? { title: why } : {}, short(value), unit && ` ${unit}`),
    );
  });
  return make("table", {}, make("caption", {}, title), make("tbody", {}, ...rows));
}
