// Which image is looked at, and what is said of it.
import "./app.css";
import * as api from "./api";
import { find } from "./dom";
import { listen } from "./keys";
import { List } from "./list";
import { showDetail } from "./panel";
import { Stage } from "./stage";

/** What the server takes for a rater's name. */
const RATER = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}_ .@-]{0,39}$/u;

let stage: Stage | null = null;
let images: api.Summary[] = [];
let current: api.Summary | null = null;
let rater = "";
let metrics: Record<string, api.Metric> = {};
const ratings = new Map<string, api.Rating>(); // case, contrast, rater

const list = new List(
  (id) => void open(id),
  (image) => ratingOf(image)?.rating ?? null,
);

function key(image: { case: string; contrast: string }, who: string): string {
  return `${image.case}\t${image.contrast}\t${who}`;
}

function ratingOf(image: api.Summary): api.Rating | undefined {
  return ratings.get(key(image, rater));
}

async function begin(): Promise<void> {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", "/"); // a token shall not stay in the address, nor in the history
    await api.enter(token);
  }
  const cohort = await api.cohort();
  images = cohort.images;
  metrics = cohort.metrics;
  if (cohort.overview) {
    const link = find<HTMLAnchorElement>("overview");
    link.href = api.address(cohort.overview);
    link.hidden = false;
  }
  for (const r of cohort.ratings) ratings.set(key(r, r.rater), r);
  find("folder").textContent = cohort.folder;
  document.title = `${cohort.folder} · mriprep view`;
  rater = cohort.rater ?? remembered("rater") ?? "";
  find<HTMLInputElement>("go-on").checked = remembered("go-on") === "yes";
  controls();
  if (!rater) await askRater();
  named();
  list.fill(images);
  list.markAll();
  try {
    stage = await Stage.attach();
    new ResizeObserver(() => stage?.resized()).observe(find("picture"));
  } catch (error) {
    find("nothing").hidden = false;
    find("nothing").textContent = (error as Error).message;
  }
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = images.find((i) => i.id === wanted) ?? images[0];
  if (first) await open(first.id);
}

async function open(id: string): Promise<void> {
  const image = images.find((i) => i.id === id);
  if (!image) return;
  await keepNote();
  current = image;
  list.select(id);
  closeList();
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  rated(image);
  try {
    const detail = await api.detail(id);
    if (current !== image) return;
    const others = [...ratings.values()].filter(
      (r) => r.case === image.case && r.contrast === image.contrast && r.rater !== rater,
    );
    showDetail(detail, others, metrics);
    await stage?.show(detail);
    const next = list.beside(id, 1);
    if (next && current === image) void api.detail(next.id).then((d) => stage?.ahead(d), () => {});
  } catch (error) {
    if (current === image) tell((error as Error).message, true);
  }
}

function step(by: number): void {
  const next = list.beside(current?.id ?? null, by);
  if (next) void open(next.id);
}

// -- rating --------------------------------------------------------------------------------------

async function rate(rating: api.Said): Promise<void> {
  const image = current;
  if (!image) return;
  const note = find<HTMLTextAreaElement>("note").value.trim();
  if (!(await save(image, rating, note))) return;
  if (find<HTMLInputElement>("go-on").checked && current === image) step(1);
}

/** A note that was changed belongs to the rating that is there. */
async function keepNote(): Promise<void> {
  const image = current;
  const before = image && ratingOf(image);
  const note = find<HTMLTextAreaElement>("note").value.trim();
  if (image && before && note !== before.note) await save(image, before.rating, note);
}

/** One after the other: the last row of a rater is the one that counts. */
let saving: Promise<unknown> = Promise.resolve();
let unsaved = 0;

function save(image: api.Summary, rating: api.Said, note: string): Promise<boolean> {
  unsaved++;
  const saved = saving.then(() => write(image, rating, note)).finally(() => unsaved--);
  saving = saved;
  return saved;
}

async function write(image: api.Summary, rating: api.Said, note: string): Promise<boolean> {
  try {
    const done = await api.rate({ case: image.case, contrast: image.contrast, rating, note, rater });
    ratings.set(key(done, done.rater), done);
    list.mark(image);
    counted();
    if (current === image) {
      rated(image);
      tell("saved", false);
    }
    return true;
  } catch (error) {
    tell(`NOT saved: ${(error as Error).message}`, true);
    return false;
  }
}

function rated(image: api.Summary): void {
  const mine = ratingOf(image);
  find<HTMLTextAreaElement>("note").value = mine?.note ?? "";
  for (const b of document.querySelectorAll<HTMLButtonElement>("[data-rating]")) {
    b.setAttribute("aria-pressed", String(b.dataset.rating === mine?.rating));
  }
  tell("", false);
}

function tell(words: string, wrong: boolean): void {
  find("saved").textContent = words;
  find("saved").className = wrong ? "wrong" : "";
}

function counted(): void {
  const done = images.filter(ratingOf).length;
  find("progress").textContent = `${done} of ${images.length} rated`;
}

// -- who rates -----------------------------------------------------------------------------------

function askRater(): Promise<void> {
  const dialog = find<HTMLDialogElement>("ask-rater");
  const input = find<HTMLInputElement>("rater-name");
  input.value = rater || "rater-1";
  find("rater-wrong").textContent = "";
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    const submit = (event: Event) => {
      const name = input.value.trim();
      if (!RATER.test(name)) {
        event.preventDefault();
        find("rater-wrong").textContent = "Letters, digits, spaces and . _ @ - are accepted.";
        return;
      }
      rater = name;
      remember("rater", name);
    };
    dialog.querySelector("form")?.addEventListener("submit", submit);
    dialog.addEventListener("close", () => {
      dialog.querySelector("form")?.removeEventListener("submit", submit);
      rater ||= "rater-1";
      resolve();
    }, { once: true });
  });
}

function named(): void {
  find("rater").textContent = rater;
  counted();
}

// -- controls ------------------------------------------------------------------------------------

function controls(): void {
  for (const b of document.querySelectorAll<HTMLButtonElement>("[data-rating]")) {
    b.addEventListener("click", () => void rate(b.dataset.rating as api.Said));
  }
  const note = find<HTMLTextAreaElement>("note");
  note.addEventListener("blur", () => void keepNote());
  note.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      note.blur();
    }
  });
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  find("go-on").addEventListener("change", (e) =>
    remember("go-on", (e.target as HTMLInputElement).checked ? "yes" : "no"),
  );
  find("rater").addEventListener("click", async () => {
    await askRater();
    named();
    list.markAll();
    if (current) await open(current.id);
  });
  find("open-help").addEventListener("click", help);
  find("open-list").addEventListener("click", () => {
    const shown = find("list").classList.toggle("open");
    find("open-list").setAttribute("aria-expanded", String(shown));
  });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  listen([
    { keys: ["p"], says: "pass", act: () => rate("pass") },
    { keys: ["u"], says: "unsure", act: () => rate("unsure") },
    { keys: ["f"], says: "fail", act: () => rate("fail") },
    { keys: ["n"], says: "write a note; Enter keeps it", act: () => note.focus() },
    { keys: ["j", "ArrowDown", "ArrowRight"], says: "next image", act: () => step(1) },
    { keys: ["k", "ArrowUp", "ArrowLeft"], says: "previous image", act: () => step(-1) },
    { keys: ["m"], says: "outline of the mask", act: () => stage?.toggle("outline") },
    { keys: ["M"], says: "the mask", act: () => stage?.toggle("mask") },
    { keys: ["t"], says: "tissues", act: () => stage?.toggle("tissues") },
    { keys: ["b"], says: "edges of the template", act: () => stage?.toggle("edges") },
    { keys: ["B"], says: "the template", act: () => stage?.toggle("template") },
    { keys: ["c"], says: "the case's other images: contrasts, bias field", act: () => stage?.other() },
    { keys: ["v"], says: "next view: planes, one plane, 3D", act: () => stage?.nextView() },
    { keys: ["PageUp"], says: "one slice up (axial)", act: () => stage?.move(0, 0, 1) },
    { keys: ["PageDown"], says: "one slice down (axial)", act: () => stage?.move(0, 0, -1) },
    { keys: ["x"], says: "crosshair", act: () => stage?.crosshair() },
    { keys: ["r"], says: "window of the image again", act: () => stage?.resetWindow() },
    { keys: ["/"], says: "search", act: () => find("filter-text").focus() },
    { keys: ["?"], says: "this list", act: help },
  ]);
}

function help(): void {
  find<HTMLDialogElement>("help").showModal();
}

function closeList(): void {
  find("list").classList.remove("open");
  find("open-list").setAttribute("aria-expanded", "false");
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // a browser that keeps nothing: the page asks again
  }
}

function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

begin().catch((error: Error) => {
  document.body.replaceChildren(
    Object.assign(document.createElement("p"), { className: "refused", textContent: error.message, role: "alert" }),
  );
});
