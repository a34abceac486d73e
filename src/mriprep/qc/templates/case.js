"use strict";
// A click on a picture shows the next of its views, as the buttons above it do.
for (const stage of document.querySelectorAll(".stage:not(.only)")) {
  const picks = [...stage.parentElement.querySelectorAll("input[type=radio]")];
  stage.style.cursor = "pointer";
  stage.addEventListener("click", () => {
    const next = (picks.findIndex((p) => p.checked) + 1) % picks.length;
    picks[next].checked = true;
    picks[next].focus({ preventScroll: true }); // so that the arrow keys go on from here
  });
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.innerText);
    } catch {
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    const words = button.textContent;
    button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}
