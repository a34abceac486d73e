"use strict";
// Sorting and filtering of the table, and a page for every mark in the pictures.
const table = document.getElementById("images");
if (table) {
  const head = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const bad = ["pass", "look", "fail"];
  const column = (key) => head.findIndex((c) => c.dataset.key === key);
  const items = [...body.rows].map((row, i) => ({
    row, i, link: row.querySelector("a"), marks: [], words: row.textContent.toLowerCase(),
  }));
  for (const mark of document.querySelectorAll("[data-i]")) items[mark.dataset.i].marks.push(mark);

  // What a row is sorted by; worst first where the verdict is.
  const value = (item, at, key) => {
    const cell = item.row.cells[at];
    if (key === "verdict") return bad.indexOf(cell.textContent);
    if (!cell.classList.contains("number")) return cell.textContent;
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  const sort = (cell) => {
    const at = head.indexOf(cell);
    const key = cell.dataset.key;
    const first = key === "verdict" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = cell.getAttribute("aria-sort") === first ? other : first;
    head.forEach((c) => c.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", order);
    const way = order === "ascending" ? 1 : -1;
    const words = new Intl.Collator(undefined, { numeric: true });
    const keyed = items.map((item) => [value(item, at, key), item]);
    keyed.sort(([a, x], [b, y]) => {
      if (a === null || b === null) return (a === null) - (b === null) || x.i - y.i; // unknown last
      return way * (typeof a === "number" ? a - b : words.compare(a, b)) || x.i - y.i;
    });
    const rows = document.createDocumentFragment();
    for (const [, item] of keyed) rows.append(item.row);
    body.append(rows);
  };
  for (const cell of head.filter((c) => c.dataset.key)) {
    cell.classList.add("sortable");
    cell.tabIndex = 0;
    cell.addEventListener("click", () => sort(cell));
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(cell); }
    });
  }

  const filters = document.querySelector(".filters");
  const search = document.getElementById("words");
  const selects = [...filters.querySelectorAll("select")];
  const shown = document.getElementById("shown");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((s) => s.value).map((s) => [column(s.dataset.of), s.value]);
    let left = 0;
    for (const item of items) {
      const good = words.every((w) => item.words.includes(w))
        && wanted.every(([at, v]) => item.row.cells[at].textContent === v);
      left += good;
      if (item.gone === !good) continue;
      item.gone = !good;
      for (const element of [item.row, ...item.marks]) element.classList.toggle("gone", !good);
    }
    shown.textContent = left === items.length ? "" : `${left} of ${items.length} shown`;
  };
  filters.hidden = false;
  search.addEventListener("input", filter);
  selects.forEach((s) => s.addEventListener("change", filter));
  filter();

  const tip = document.getElementById("tip");
  let here = null;
  const leave = () => {
    if (here) for (const element of [here.row, ...here.marks]) element.classList.remove("here");
    here = null;
    tip.hidden = true;
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("[data-i]");
    leave();
    if (!mark) return;
    here = items[mark.dataset.i];
    for (const element of [here.row, ...here.marks]) element.classList.add("here");
    const cells = here.row.cells;
    tip.textContent = `${cells[1].textContent} ${cells[2].textContent}: ${cells[3].textContent}`
      + (cells[4].textContent ? `. ${cells[4].textContent}` : "");
    tip.hidden = false;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + "px";
  });
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("[data-i]");
    if (mark) items[mark.dataset.i].link?.click();
  });
}
