// The grid of a gallery: renews what may have changed, and remembers where somebody left it.

// The server draws no more at a time: TILES_RENEWED in webapp/gallery/views/grid.py.
const TILES_RENEWED = 60;
// Photos this far outside of the window are asked about before others.
const NEAR_PIXELS = 500;

function isNear(tile) {
  const { top, bottom } = tile.getBoundingClientRect();
  return bottom > -NEAR_PIXELS && top < window.innerHeight + NEAR_PIXELS;
}

// Of thousands of waiting tiles, those that are seen come first.
function waitingTiles() {
  const waiting = [...document.querySelectorAll("#tiles [data-waiting]")];
  const near = waiting.filter(isNear);
  const others = waiting.filter((tile) => !near.includes(tile));
  return [...near, ...others].slice(0, TILES_RENEWED);
}

document.body.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "changes") return;
  event.detail.parameters.tile = waitingTiles().map((tile) => tile.dataset.waiting);
});

// Photos that were just added come into the grid by themselves only while nobody has begun to work with it;
// others are told that there are new ones.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id !== "grid") return;
  const grid = event.detail.elt;
  const hasMoreParts = grid.querySelectorAll(".tile").length > TILES_RENEWED;
  if (hasMoreParts || grid.querySelector("input[name=photo]:checked")) event.preventDefault();
});

// A tile that is replaced keeps its tick, and the focus.
document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
  const before = event.detail.target;
  const after = event.detail.fragment.querySelector(".tile");
  if (!after || !before.matches(".tile")) return;
  if (before.querySelector("input:checked")) after.querySelector("input")?.setAttribute("checked", "");
  const focused = ["a", "input"].find((name) => before.querySelector(name) === document.activeElement);
  if (focused) requestAnimationFrame(() => document.getElementById(before.id)?.querySelector(focused)?.focus());
});

// "Back" from a photo comes to the part of the grid that it is in, not to the first one.
document.addEventListener("click", (event) => {
  const tile = event.target.closest("#tiles a.picture")?.closest(".tile");
  if (!tile) return;
  const address = new URL(window.location.href);
  address.searchParams.delete("cursor");
  address.searchParams.set("at", tile.id.replace("photo-", ""));
  address.hash = tile.id;
  window.history.replaceState(window.history.state, "", address);
  // To the tile, and not to where the page was scrolled, which had other parts then.
  window.history.scrollRestoration = "manual";
});

// A list is sorted as soon as somebody chooses how.
document.querySelector("#filters select[name=sort]")?.addEventListener("change", (event) => {
  event.target.form.requestSubmit();
});

// Whoever comes back is shown the tile that they left by.
document.getElementById(window.location.hash.slice(1))?.scrollIntoView({ block: "center" });
