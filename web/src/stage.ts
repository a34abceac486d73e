// The picture: NiiVue with an image, and what is laid over it.
import { DRAG_MODE, type NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue";
import { address, type Detail, type Layer } from "./api";
import { tables, tissue } from "./colours";
import { find, make, short } from "./dom";
import { load, mostProbable, type Volume } from "./volumes";

const CROSSHAIR = 0.7; // mm
const [NEVER, ALWAYS] = [0, 1]; // NiiVue's words for whether 3D is drawn beside the planes
const VIEWS: [string, SLICE_TYPE][] = [
  ["planes + 3D", SLICE_TYPE.MULTIPLANAR],
  ["planes", SLICE_TYPE.MULTIPLANAR],
  ["axial", SLICE_TYPE.AXIAL],
  ["coronal", SLICE_TYPE.CORONAL],
  ["sagittal", SLICE_TYPE.SAGITTAL],
  ["3D", SLICE_TYPE.RENDER],
];
type Overlay = "outline" | "mask" | "tissues" | "edges" | "template";
const OVERLAYS: [Overlay, string, string][] = [
  ["outline", "mask outline", "m"],
  ["mask", "mask", "M"],
  ["tissues", "tissues", "t"],
  ["edges", "template edges", "b"],
  ["template", "template", "B"],
];

export class Stage {
  private nv: Niivue;
  private detail: Detail | null = null;
  private layer: Layer | null = null;
  private base: Volume | null = null;
  private on = new Set<Overlay>(["outline"]);
  private missing = new Map<string, string>();
  private view = 0;
  private loading = new AbortController();
  private latest = 0;

  private constructor(nv: Niivue) {
    this.nv = nv;
  }

  static async attach(): Promise<Stage> {
    const canvas = find<HTMLCanvasElement>("canvas");
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new Error("this browser draws no volumes: it has no WebGL 2, or it is switched off");
    }
    const nv = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.42, 0.77, 0.81, 0.9],
      crosshairWidth: CROSSHAIR,
      crosshairWidthUnit: "mm",
      isRadiologicalConvention: true,
      dragMode: DRAG_MODE.contrast,
      dragAndDropEnabled: false,
      multiplanarShowRender: NEVER,
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      loadingText: "",
      show3Dcrosshair: true,
      logLevel: "error",
    });
    for (const [name, table] of tables()) nv.addColormap(name, table);
    await nv.attachToCanvas(canvas);
    const stage = new Stage(nv);
    nv.onLocationChange = (at) => stage.located(at as Location);
    nv.onIntensityChange = () => stage.windowed();
    stage.controls();
    stage.setView(slow(nv) ? 1 : 0);
    return stage;
  }

  /** Show an image; gives way when another one is asked for meanwhile. */
  async show(detail: Detail): Promise<void> {
    this.detail = detail;
    this.missing.clear();
    await this.choose(detail.image);
  }

  async choose(layer: Layer | null): Promise<void> {
    this.layer = layer;
    this.choices();
    find("nothing").hidden = layer !== null;
    if (!layer) {
      this.latest++;
      this.loading.abort();
      this.put([]);
      find("nothing").textContent = "There is no image: the run stopped before it was made.";
      find("where").textContent = "\u00a0";
      find("loading").hidden = true;
      return;
    }
    await this.draw(true);
  }

  /** The next of the images of this case: other contrasts, the bias field. */
  async other(): Promise<void> {
    const all = this.images();
    if (all.length < 2) return;
    const at = all.findIndex((l) => l.path === this.layer?.path);
    await this.choose(all[(at + 1) % all.length] ?? null);
  }

  async toggle(overlay: Overlay): Promise<void> {
    if (!this.available(overlay)) return;
    if (this.on.has(overlay)) this.on.delete(overlay);
    else this.on.add(overlay);
    this.choices();
    await this.draw(false);
  }

  setView(index: number): void {
    this.view = (index + VIEWS.length) % VIEWS.length;
    this.nv.opts.multiplanarShowRender = this.view === 0 ? ALWAYS : NEVER;
    this.nv.setSliceType((VIEWS[this.view] as [string, SLICE_TYPE])[1]);
    this.choices();
  }

  nextView(): void {
    this.setView(this.view + 1);
  }

  /** Move the crosshair by voxels of the image, along its axes. */
  move(x: number, y: number, z: number): void {
    if (this.base) this.nv.moveCrosshairInVox(x, y, z);
  }

  crosshair(): void {
    this.nv.opts.crosshairWidth = this.nv.opts.crosshairWidth ? 0 : CROSSHAIR;
    this.nv.drawScene();
  }

  resetWindow(): void {
    if (this.base) this.setWindow(...this.base.window);
  }

  setOpacity(opacity: number): void {
    for (const volume of this.nv.volumes.slice(1)) {
      if (!LINES.has(volume.name.split(" ")[0] ?? "")) volume.opacity = opacity;
    }
    if (this.base) this.nv.updateGLVolume();
  }

  resized(): void {
    this.nv.resizeListener();
  }

  /** Read a volume that will be wanted next. */
  async ahead(detail: Detail): Promise<void> {
    if (detail.image && detail.image.bytes < 80e6) {
      await load(address(detail.image.path), "image", () => {}, new AbortController().signal).catch(() => {});
    }
  }

  // -- drawing ---------------------------------------------------------------------------------

  private async draw(fresh: boolean): Promise<void> {
    const turn = ++this.latest;
    if (fresh) {
      this.loading.abort();
      this.loading = new AbortController();
    }
    const { signal } = this.loading;
    const layer = this.layer;
    if (!layer) return;
    this.progress(`${layer.title} ...`, 0);
    try {
      const told = (share: number) => turn === this.latest && this.progress(`${layer.title} ...`, share);
      const base = await load(address(layer.path), kindOf(layer), told, signal);
      const over: Promise<NVImage | null>[] = [];
      for (const [name] of OVERLAYS) {
        if (this.on.has(name)) over.push(...this.overlay(name, layer, signal));
      }
      const ready = (await Promise.all(over)).filter((v): v is NVImage => v !== null);
      if (turn !== this.latest) return;
      base.image.opacity = 1;
      base.image.name = layer.title;
      const seen = this.base?.image !== base.image || fresh;
      this.base = base;
      if (seen) [base.image.cal_min, base.image.cal_max] = base.window;
      this.put([base.image, ...ready]);
      this.windowed();
    } catch (error) {
      if (turn !== this.latest) return;
      if ((error as Error).name === "AbortError") return await this.draw(true); // left, and come back to
      find("nothing").hidden = false;
      find("nothing").textContent = `${layer.title}: ${(error as Error).message}`;
      this.put([]);
    } finally {
      if (turn === this.latest) find("loading").hidden = true;
    }
  }

  private overlay(name: Overlay, layer: Layer, signal: AbortSignal): Promise<NVImage | null>[] {
    const d = this.detail as Detail;
    const put = async (title: string, loading: Promise<Volume>) => {
      try {
        const { image } = await loading;
        image.opacity = lines(name) ? 0.9 : Number(find<HTMLInputElement>("opacity").value);
        image.name = title;
        return image;
      } catch (error) {
        if ((error as Error).name === "AbortError") throw error;
        this.missing.set(name, (error as Error).message);
        this.on.delete(name);
        this.choices();
        return null;
      }
    };
    const quiet = () => {};
    if (ofTemplate(name)) {
      const url = `/api/images/${encodeURIComponent(d.id)}/template`;
      return [put(`${name} of ${d.template}`, load(url, name, quiet, signal))];
    }
    const layers = this.layersOf(name, layer);
    if (layers[0]?.kind === "probability") {
      const urls = layers.map((l) => address(l.path));
      const labels = layers.map((l, n) => tissue(l.title, n));
      return [put("tissues", mostProbable(urls, labels, quiet, signal))];
    }
    return layers.map((l) =>
      put(name === "outline" ? name : l.title, load(address(l.path), name === "tissues" ? l.kind : name, quiet, signal)),
    );
  }

  private put(volumes: NVImage[]): void {
    this.nv.volumes = volumes;
    this.nv.back = volumes[0] ?? null;
    this.nv.overlays = volumes.slice(1);
    // Lines belong to planes: in 3D they would hide the head.
    const filled = [...this.on].some((o) => !lines(o) && this.available(o));
    this.nv.opts.renderOverlayBlend = filled ? 1 : 0;
    if (volumes.length) {
      this.nv.updateGLVolume(); // draws
      this.nv.createOnLocationChange();
    } else this.nv.drawScene();
    find("canvas").dataset.drawn = volumes.map((v) => v.name).join(", ");
    find("canvas").style.visibility = volumes.length ? "visible" : "hidden";
  }

  private progress(what: string, share: number): void {
    find("loading").hidden = false;
    find("loading-what").textContent = what;
    find<HTMLProgressElement>("loaded").value = share;
  }

  // -- what there is to choose -----------------------------------------------------------------

  private images(): Layer[] {
    const d = this.detail;
    if (!d?.image) return [];
    return [d.image, ...d.layers.filter((l) => l.kind === "image" || l.kind === "field")];
  }

  private layersOf(name: Overlay, on: Layer): Layer[] {
    const all = (this.detail?.layers ?? []).filter((l) => l.space === on.space);
    if (name === "mask" || name === "outline") return all.filter((l) => l.kind === "mask").slice(0, 1);
    const parts = all.filter((l) => l.kind === "probability");
    const labels = all.filter((l) => l.kind === "labels");
    return labels.length ? labels.slice(0, 1) : parts;
  }

  private available(name: Overlay): boolean {
    if (!this.layer || this.missing.has(name)) return false;
    if (ofTemplate(name)) return this.detail?.template != null && this.layer.space === this.detail.template;
    return this.layersOf(name, this.layer).length > 0;
  }

  private choices(): void {
    const images = this.images();
    fill(
      "choose-image",
      images.length < 2 ? [] : images.map((l) => button(l.title, l.path === this.layer?.path, () => this.choose(l), "c")),
    );
    fill(
      "choose-overlays",
      OVERLAYS.map(([name, title, key]) => {
        const b = button(title, this.on.has(name) && this.available(name), () => this.toggle(name), key);
        b.dataset.overlay = name;
        b.disabled = !this.available(name);
        if (b.disabled) b.title = this.missing.get(name) ?? absent(name);
        return b;
      }),
    );
    fill("choose-view", VIEWS.map(([title], n) => button(title, n === this.view, () => this.setView(n), "v")));
  }

  private controls(): void {
    this.choices();
    find<HTMLInputElement>("opacity").addEventListener("input", (e) =>
      this.setOpacity(Number((e.target as HTMLInputElement).value)),
    );
    for (const id of ["window-low", "window-high"]) {
      find(id).addEventListener("change", () => {
        const [low, high] = ["window-low", "window-high"].map((i) => Number(find<HTMLInputElement>(i).value));
        if (low !== undefined && high !== undefined && high > low) this.setWindow(low, high);
        else this.windowed();
      });
    }
    find("window-reset").addEventListener("click", () => this.resetWindow());
  }

  private setWindow(low: number, high: number): void {
    if (!this.base) return;
    [this.base.image.cal_min, this.base.image.cal_max] = [low, high];
    this.nv.updateGLVolume();
    this.windowed();
  }

  private windowed(): void {
    if (!this.base) return;
    find<HTMLInputElement>("window-low").value = short(this.base.image.cal_min);
    find<HTMLInputElement>("window-high").value = short(this.base.image.cal_max);
  }

  private located(at: Location): void {
    const mm = [...at.mm].slice(0, 3).map((v) => v.toFixed(1)).join(", ");
    const values = at.values.map((v) => `${v.name} ${short(v.value)}`).join(" · ");
    find("where").textContent = `${mm} mm · ${values}`;
  }
}

/** Whether there is no graphics processor: a picture in 3D then takes seconds, and is drawn when asked for. */
function slow(nv: Niivue): boolean {
  const about = nv.gl?.getExtension("WEBGL_debug_renderer_info");
  const name = about ? String(nv.gl?.getParameter(about.UNMASKED_RENDERER_WEBGL)) : "";
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

interface Location {
  mm: Iterable<number>;
  values: { name: string; value: number }[];
}

function kindOf(layer: Layer): string {
  return layer.kind === "field" ? "field" : "image";
}

const LINES = new Set<string>(["outline", "edges"]);

function lines(name: Overlay): boolean {
  return LINES.has(name);
}

function ofTemplate(name: Overlay): boolean {
  return name === "template" || name === "edges";
}

function absent(name: Overlay): string {
  if (ofTemplate(name)) return "What is shown lies on no template";
  return `There ${name === "tissues" ? "are no tissues" : "is no mask"} in the world of what is shown`;
}

function button(title: string, pressed: boolean, act: () => unknown, key: string): HTMLButtonElement {
  const made = make("button", { type: "button", "aria-pressed": String(pressed), title: `${title} (${key})` }, title);
  made.addEventListener("click", () => void act());
  return made;
}

function fill(id: string, buttons: HTMLElement[]): void {
  const set = find(id);
  const at = [...set.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement);
  set.replaceChildren(set.querySelector("legend") as HTMLElement, ...buttons);
  if (at >= 0) (buttons[at] as HTMLElement | undefined)?.focus();
  set.hidden = buttons.length === 0;
}
