/** The page of a photo: a click on a box leads to the name of its face, and looking at a face shows its box. */

import { sayWhenBusy } from "./busy.js";

sayWhenBusy();

for (const card of document.querySelectorAll("[data-card]")) {
  const box = document.querySelector(`rect[data-face="${card.dataset.card}"]`);
  const field = card.querySelector("input[name=name]");
  if (!box) continue;
  for (const [event, isLookedAt] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
    card.addEventListener(event, () => box.classList.toggle("looked-at", isLookedAt));
  }
  // Without this script the link leads there as well, but does not select the name.
  box.closest("a").addEventListener("click", (event) => {
    event.preventDefault();
    const target = field ?? card;
    card.scrollIntoView({ block: "nearest" });
    target.focus({ preventScroll: true });
    field?.select();
  });
}
