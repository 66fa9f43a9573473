// Choosing photos on the grid: a range with the shift key, all that match, and what can be done with those chosen.
// The grid may be replaced as a whole, so nothing here holds on to its elements.

// So many ids fit into a form, whose size is limited: FORM_BYTES in tasks/dictionaries.py.
const MOST_TICKED = 1500;

const one = (selector) => document.querySelector(`#selection ${selector}`);
const every = (selector) => [...document.querySelectorAll(`#selection ${selector}`)];
const boxes = () => every("input[name=photo]");

// The box at which a range begins.
let last = null;

function show() {
  const bar = one("#chosen");
  if (!bar) return;
  const isAll = one("input[name=all]").checked;
  const number = boxes().filter((box) => box.checked).length;
  const isTooMany = !isAll && number > MOST_TICKED;
  const isNone = !isAll && number === 0;
  one("[data-clear]").hidden = isNone;
  bar.classList.toggle("idle", isNone);
  for (const button of every("button[type=submit]")) button.disabled = isNone || isTooMany;
  const count = one("[data-count]");
  if (isAll) count.textContent = "All are chosen.";
  else if (isTooMany) count.textContent = `${number} chosen: at most ${MOST_TICKED} at a time, or all.`;
  else count.textContent = isNone ? "Tick photos to choose them." : `${number} chosen`;
}

function tickRange(from, to, isTicked) {
  const all = boxes();
  const [first, end] = [all.indexOf(from), all.indexOf(to)].sort((smaller, larger) => smaller - larger);
  if (first < 0) return;
  for (const box of all.slice(first, end + 1)) box.checked = isTicked;
}

function tickAll(isTicked) {
  one("input[name=all]").checked = isTicked;
  for (const box of boxes()) box.checked = isTicked;
}

document.addEventListener("click", (event) => {
  const box = event.target.closest("#selection input[name=photo]");
  if (!box) return;
  if (event.shiftKey && last) tickRange(last, box, box.checked);
  last = box;
  // Whoever takes one out does not mean all any more.
  if (!box.checked) one("input[name=all]").checked = false;
  show();
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("#selection input[name=all]")) return;
  tickAll(event.target.checked);
  show();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("#selection [data-clear]")) return;
  tickAll(false);
  show();
});

// Parts that come later belong to "all", too; tiles that are gone are not chosen any more.
document.body.addEventListener("htmx:afterSettle", () => {
  if (one("input[name=all]")?.checked) tickAll(true);
  show();
});

// One field for all ids: a form may not have thousands of them.
document.addEventListener("formdata", ({ target, formData }) => {
  if (target.id !== "selection") return;
  const ids = formData.getAll("photo").map((id) => id.replaceAll("-", ""));
  formData.delete("photo");
  if (!one("input[name=all]").checked) formData.set("photos", ids.join("."));
});

// The browser may have kept ticks when it came back to this page.
show();
