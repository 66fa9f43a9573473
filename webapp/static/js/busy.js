/** Buttons that say at once that something has begun: `data-busy` is what they then say. */

/** Watch the forms below `root`. A page that comes back from the browser's history is as it was at first. */
export function sayWhenBusy(root = document) {
  for (const button of root.querySelectorAll("button[data-busy]")) {
    const words = button.textContent;
    button.form.addEventListener("submit", () => {
      button.textContent = button.dataset.busy;
      button.setAttribute("aria-busy", "true");
      // A disabled button would not be sent, and nothing else would be disabled twice: it takes effect afterwards.
      setTimeout(() => { button.disabled = true; });
    });
    window.addEventListener("pageshow", () => {
      button.textContent = words;
      button.removeAttribute("aria-busy");
      button.disabled = false;
    });
  }
}
