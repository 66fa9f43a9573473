// The grid of a gallery: says which tiles may have changed, and remembers where somebody left it.

// The server draws no more at a time: TILES_RENEWED in webapp/gallery/views/grid.py.
const TILES_RENEWED = 60;
// Photos this far outside of the window are asked about before others.
const NEAR_PIXELS = 500;

const tiles = document.getElementById("tiles");

function isNear(tile) {
  const { top, bottom } = tile.getBoundingClientRect();
  return bottom > -NEAR_PIXELS && top < window.innerHeight + NEAR_PIXELS;
}

// Of thousands of waiting tiles, those that are seen come first.
function waitingTiles() {
  const waiting = [...tiles.querySelectorAll("[data-waiting]")];
  const near = waiting.filter(isNear);
  const others = waiting.filter((tile) => !near.includes(tile));
  return [...near, ...others].slice(0, TILES_RENEWED);
}

document.body.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "changes") return;
  event.detail.parameters.tile = waitingTiles().map((tile) => tile.dataset.waiting);
});

// A tile that is replaced keeps its tick, and the focus.
document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
  const [before, after] = [event.detail.target, event.detail.fragment.querySelector(".tile")];
  if (!after) return;
  if (before.querySelector("input:checked")) after.querySelector("input")?.setAttribute("checked", "");
  const focused = ["a", "input"].find((name) => before.querySelector(name) === document.activeElement);
  if (focused) requestAnimationFrame(() => document.getElementById(before.id)?.querySelector(focused)?.focus());
});

// "Back" from a photo comes to the part of the grid that it is in, not to the first one.
tiles.addEventListener("click", (event) => {
  const tile = event.target.closest("a.picture")?.closest(".tile");
  if (!tile) return;
  const address = new URL(window.location.href);
  address.searchParams.delete("cursor");
  address.searchParams.set("at", tile.id.replace("photo-", ""));
  address.hash = tile.id;
  window.history.replaceState(window.history.state, "", address);
});

// A list is sorted as soon as somebody chooses how.
document.querySelector("#filters select[name=sort]")?.addEventListener("change", (event) => {
  event.target.form.requestSubmit();
});
