// The arrow keys go to the photo before and after this one: they follow the links that the page has for that.

const LINKS = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]' };
// There, arrow keys have a meaning already.
const TYPING = "input, select, textarea, [contenteditable], [role=slider]";

document.addEventListener("keydown", (event) => {
  const isPlain = !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey);
  if (!isPlain || event.defaultPrevented || !(event.key in LINKS)) return;
  if (event.target instanceof Element && event.target.closest(TYPING)) return;
  document.querySelector(LINKS[event.key])?.click();
});
