"use strict";
// Where before and after show the same place, one is drawn over the other up to a line, which is
// dragged, or moved by the arrow keys. Without this script they stand side by side.
for (const stage of document.querySelectorAll(".stage.slides")) {
  const slide = stage.parentElement.querySelector(".slide");
  const range = slide.querySelector("input");
  const show = () => stage.style.setProperty("--cut", range.value + "%");
  stage.classList.add("sliding");
  slide.hidden = false;
  show();
  range.addEventListener("input", show);
  const drag = (event) => {
    const pictures = [...stage.querySelectorAll(".after .pic")].map((p) => p.getBoundingClientRect());
    const here = pictures.find((r) => event.clientX >= r.left && event.clientX <= r.right
      && event.clientY >= r.top && event.clientY <= r.bottom);
    if (!here) return;
    range.value = (100 * (event.clientX - here.left)) / here.width;
    show();
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    range.focus({ preventScroll: true }); // so that the arrow keys go on from here
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) drag(event);
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
