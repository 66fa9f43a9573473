/** The form of a search: choose, drop or paste a picture, see it at once. Without this script it is a plain form. */

import { sayWhenBusy } from "./busy.js";
import { forgetChosen, keepChosen } from "./query_picture.js";

sayWhenBusy();
forgetChosen(); // what was chosen on an earlier visit
const chooser = document.querySelector("[data-chooser]");
if (chooser) watch(chooser);

function watch(chooser) {
  const input = chooser.querySelector("input[type=file]");
  const figure = chooser.querySelector("[data-chosen]");
  const picture = figure.querySelector("img");
  const unseen = chooser.querySelector("[data-unseen]");
  let address = null;

  chooser.querySelector("[data-hint]").hidden = false;
  input.addEventListener("change", () => show(input.files[0]));
  // A browser may keep the file when the page is loaded again.
  if (input.files.length) show(input.files[0]);

  document.addEventListener("paste", (event) => take(event.clipboardData, event));
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.items].some((item) => item.kind === "file")) return;
    event.preventDefault(); // a browser opens a file that nobody takes
    chooser.classList.add("is-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) chooser.classList.remove("is-over");
  });
  document.addEventListener("drop", (event) => {
    chooser.classList.remove("is-over");
    take(event.dataTransfer, event);
  });

  function take(transfer, event) {
    const file = transfer.files[0];
    if (!file) return; // text, which belongs to a field
    event.preventDefault();
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    show(file);
  }

  async function show(file) {
    URL.revokeObjectURL(address);
    figure.hidden = unseen.hidden = true;
    if (!file) {
      forgetChosen();
      return;
    }
    address = URL.createObjectURL(file);
    picture.src = address;
    figure.hidden = false;
    try {
      await keepChosen(file);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      if (input.files[0] !== file) return; // another one was chosen meanwhile
      figure.hidden = true;
      unseen.hidden = false;
    }
  }
}
