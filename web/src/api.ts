// What the server says and is told. All that is here is checked again there.

export type Verdict = "pass" | "look" | "fail" | null;
export type Said = "pass" | "fail" | "unsure";

export interface Summary {
  id: string;
  case: string;
  contrast: string;
  verdict: Verdict;
  site: string | null;
  reasons: string[];
  image: boolean;
}

export interface Rating {
  case: string;
  contrast: string;
  rating: Said;
  note: string;
  rater: string;
  time: string;
}

export interface Metric {
  title: string;
  unit: string;
  meaning: string;
}

export interface Cohort {
  folder: string;
  rater: string | null;
  overview: string | null;
  metrics: Record<string, Metric>;
  images: Summary[];
  ratings: Rating[];
}

export interface Layer {
  path: string;
  kind: "image" | "mask" | "labels" | "probability" | "field" | "template";
  title: string;
  space: string;
  bytes: number;
}

export interface Reason {
  code: string;
  level: "look" | "fail";
  says: string;
  hint: string | null;
  metric: string | null;
  value: number | null;
  limit: number | null;
}

export interface Detail {
  id: string;
  case: string;
  contrast: string;
  verdict: Verdict;
  recipe: string | null;
  reasons: Reason[];
  scores: Record<string, number | null>;
  metrics: Record<string, number | null>;
  missing: Record<string, string>;
  facts: [string, string][];
  warnings: string[];
  problem: string | null;
  report: string | null;
  image: Layer | null;
  layers: Layer[];
  template: string | null;
}

export class Refused extends Error {}

export async function enter(token: string): Promise<void> {
  await post("/api/enter", { token });
}

export async function cohort(): Promise<Cohort> {
  return (await get("/api/images")) as Cohort;
}

export async function detail(id: string): Promise<Detail> {
  return (await get(`/api/images/${encodeURIComponent(id)}`)) as Detail;
}

export async function rate(rating: Omit<Rating, "time">): Promise<Rating> {
  return (await post("/api/ratings", rating)) as Rating;
}

export function address(path: string): string {
  return `/out/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** A file's bytes, told of as they come. */
export async function bytes(
  url: string,
  told: (share: number) => void,
  signal: AbortSignal,
): Promise<ArrayBuffer> {
  const response = await checked(await fetch(url, { signal }));
  const all = Number(response.headers.get("content-length")) || 0;
  if (!response.body || !all) return response.arrayBuffer();
  const content = new Uint8Array(all);
  const reader = response.body.getReader();
  let there = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    content.set(value, there);
    there += value.length;
    told(there / all);
  }
  if (there !== all) throw new Error("the file broke off");
  return content.buffer;
}

async function get(url: string): Promise<unknown> {
  return (await checked(await fetch(url))).json();
}

async function post(url: string, content: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  return (await checked(response)).json();
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const says = await response.json().catch(() => ({}));
  const words = typeof says.error === "string" ? says.error : `the server said ${response.status}`;
  throw response.status === 401 ? new Refused(words) : new Error(words);
}
