/** The matches of a search: the picture that was searched with, one face at a time, the slider, ticks. */

import { pictureOf } from "./query_picture.js";

/** How much of its size is shown around a face, on each side. */
const MARGIN = 0.35;

start();
document.body.addEventListener("htmx:afterSettle", start); // the answer came later than the page

function start() {
  const result = document.getElementById("result");
  const sections = [...result.querySelectorAll("[data-searched]")];
  if (!sections.length) return;
  showPicture(result);
  chooseFaces(result, sections);
  watchSlider(result, sections);
  for (const section of sections) watchTicks(section);
}

// -- the picture ----------------------------------------------------------------------------------------------------

async function showPicture(result) {
  const asked = result.querySelector("[data-asked]");
  if (!asked) return;
  const [width, height] = [Number(asked.dataset.width), Number(asked.dataset.height)];
  const address = await pictureOf(location.pathname, width, height);
  if (address === null) return;
  const picture = asked.querySelector("img");
  picture.src = address;
  await picture.decode();
  asked.hidden = false;
  // An SVG element has no `hidden` of its own.
  result.querySelector("[data-sketch]").toggleAttribute("hidden", true);
  for (const canvas of result.querySelectorAll("canvas[data-crop]")) {
    const box = asked.querySelector(`[data-box="${canvas.dataset.crop}"]`);
    drawFace(canvas, picture, box.dataset, picture.naturalWidth / width);
    canvas.hidden = false;
  }
}

function drawFace(canvas, picture, box, scale) {
  const [left, top, right, bottom] = [box.left, box.top, box.right, box.bottom].map((each) => Number(each) * scale);
  const side = Math.max(right - left, bottom - top) * (1 + 2 * MARGIN);
  const [x, y] = [(left + right - side) / 2, (top + bottom - side) / 2];
  canvas.getContext("2d").drawImage(picture, x, y, side, side, 0, 0, canvas.width, canvas.height);
}

// -- one face at a time ---------------------------------------------------------------------------------------------

function chooseFaces(result, sections) {
  const links = [...result.querySelectorAll("[data-face-choice] a, [data-asked] a")];
  if (sections.length < 2) return;

  function choose(id) {
    const chosen = sections.find((section) => section.id === id) ?? sections[0];
    for (const section of sections) section.hidden = section !== chosen;
    for (const link of links) {
      const isChosen = link.getAttribute("href") === `#${chosen.id}`;
      if (isChosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      link.querySelector("rect")?.classList.toggle("marked", isChosen);
    }
  }

  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const id = link.getAttribute("href").slice(1);
      history.replaceState(null, "", `#${id}`);
      choose(id);
    });
  }
  choose(location.hash.slice(1));
}

// -- the slider -----------------------------------------------------------------------------------------------------

function watchSlider(result, sections) {
  const form = result.querySelector("[data-slider]");
  if (!form) return;
  const slider = form.querySelector("input[type=range]");
  form.querySelector("button").hidden = true;
  form.addEventListener("submit", (event) => event.preventDefault());
  slider.addEventListener("input", () => filter(Number(slider.value)));

  // Strictest first.
  const reach = [...form.querySelectorAll("datalist option")].map((each) => [Number(each.value), each.label]);
  function filter(least) {
    form.querySelector("[data-reached]").value = reach.find(([begin]) => least >= begin)?.[1] ?? "";
    for (const section of sections) filterSection(section, least);
  }
}

function filterSection(section, least) {
  let count = 0;
  for (const match of section.querySelectorAll("[data-similarity]")) {
    match.hidden = Number(match.dataset.similarity) < least;
    const tick = match.querySelector("input[type=checkbox]");
    if (match.hidden && tick) tick.checked = false; // nobody names what they do not see
    if (!match.hidden) count += 1;
  }
  section.querySelector("[data-count]").textContent = count;
  section.querySelector("[data-matches]").textContent = count === 1 ? "match" : "matches";
  section.querySelector("[data-none]")?.toggleAttribute("hidden", count > 0);
  section.querySelector("[data-names]")?.toggleAttribute("hidden", count === 0);
  const field = section.querySelector("[data-least]");
  if (field) field.value = least;
}

// -- ticks ----------------------------------------------------------------------------------------------------------

function watchTicks(section) {
  const button = section.querySelector("[data-tick-all]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = [...section.querySelectorAll("[data-similarity]:not([hidden]) input[type=checkbox]")];
    const areAll = shown.every((tick) => tick.checked);
    for (const tick of shown) tick.checked = !areAll;
  });
}
