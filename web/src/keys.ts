// Keys, and the list of them.
import { find, make } from "./dom";

export interface Key {
  keys: string[];
  says: string;
  act: () => unknown;
}

/** Hear keys before NiiVue does, which has others of its own for a canvas that has the focus. */
export function listen(keys: Key[]): void {
  const names: Record<string, string> = {
    ArrowDown: "↓", ArrowRight: "→", ArrowUp: "↑", ArrowLeft: "←", PageUp: "Page ↑", PageDown: "Page ↓",
  };
  find("keys").replaceChildren(
    ...keys.map((k) =>
      make(
        "div", {},
        make("dt", {}, ...k.keys.map((n) => make("kbd", {}, names[n] ?? n))),
        make("dd", {}, k.says),
      ),
    ),
  );
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (document.querySelector("dialog[open]")) return;
      const target = event.target as HTMLElement;
      if (target.matches("textarea, select, input:not([type=checkbox], [type=range])")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      if (target.matches("[type=range]") && /^(Arrow|Page)/.test(event.key)) return;
      const key = keys.find((k) => k.keys.includes(event.key));
      if (!key) return;
      event.preventDefault();
      event.stopPropagation();
      void key.act();
    },
    { capture: true },
  );
}
