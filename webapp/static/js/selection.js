// Choosing photos on the grid: a range with the shift key, all that match, and what can be done with those chosen.

// Their ids fit into a form: MOST_TICKED in webapp/gallery/views/selection.py.
const MOST_TICKED = 1500;

const form = document.getElementById("selection");
const bar = document.getElementById("chosen");

if (bar) {
  const all = bar.querySelector("input[name=all]");
  const count = bar.querySelector("[data-count]");
  const clear = bar.querySelector("[data-clear]");
  const boxes = () => [...form.querySelectorAll("input[name=photo]")];
  const ticked = () => boxes().filter((box) => box.checked);
  // Where a range begins.
  let last = null;

  function show() {
    const number = ticked().length;
    const isTooMany = !all.checked && number > MOST_TICKED;
    clear.hidden = !all.checked && number === 0;
    bar.classList.toggle("idle", clear.hidden);
    for (const button of bar.querySelectorAll("button[type=submit]")) button.disabled = clear.hidden || isTooMany;
    if (all.checked) count.textContent = "All are chosen.";
    else if (isTooMany) count.textContent = `${number} chosen: at most ${MOST_TICKED} at a time, or all.`;
    else count.textContent = number ? `${number} chosen` : "Tick photos to choose them.";
  }

  function tickRange(from, to, isTicked) {
    const every = boxes();
    const [first, end] = [every.indexOf(from), every.indexOf(to)].sort((one, other) => one - other);
    if (first < 0) return;
    for (const box of every.slice(first, end + 1)) box.checked = isTicked;
  }

  form.addEventListener("click", (event) => {
    const box = event.target.closest("input[name=photo]");
    if (!box) return;
    if (event.shiftKey && last) tickRange(last, box, box.checked);
    last = box;
    // Whoever takes one out does not mean all any more.
    if (!box.checked) all.checked = false;
    show();
  });

  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });

  clear.addEventListener("click", () => {
    all.checked = false;
    for (const box of boxes()) box.checked = false;
    show();
  });

  // Parts that come later belong to "all", too; tiles that are gone are not chosen any more.
  document.body.addEventListener("htmx:load", () => {
    if (all.checked) for (const box of boxes()) box.checked = true;
    show();
  });

  // One field for all ids: a form may not have thousands of them.
  form.addEventListener("formdata", ({ formData }) => {
    const ids = formData.getAll("photo").map((id) => id.replaceAll("-", ""));
    formData.delete("photo");
    if (!all.checked) formData.set("photos", ids.join("."));
  });

  // The browser may have kept ticks when it came back to this page.
  show();
}
