// Uploading on a gallery's page: files and folders that are dropped, chosen or pasted. See upload_queue.js for the rest.

import { entriesOf, filesOfEntries, filesOfList } from "./upload_files.js";
import { UploadQueue } from "./upload_queue.js";
import { UploadView } from "./upload_view.js";

// How often the photos on the page are renewed while more arrive.
const RENEW_MS = 3000;
const NOTHING = "00000000-0000-0000-0000-000000000000";

const root = document.getElementById("upload");
if (root) start(root);

function start(root) {
  const form = root.querySelector("form");
  const address = (name) => (id) => root.dataset[name].replace(NOTHING, id);
  const view = new UploadView(root, { photoPage: address("photoPage"), jobPage: address("jobPage") });
  const queue = new UploadQueue({
    terms: {
      photosUrl: root.dataset.photos,
      jobUrl: address("job"),
      closeUrl: address("close"),
      fileBytes: Number(root.dataset.fileBytes),
      requests: Number(root.dataset.requests),
      csrfToken: () => csrfToken(form),
    },
    onBegin: () => view.begin(),
    onChange: () => view.draw(queue),
    onSettled: (item) => {
      view.listItem(item);
      if (item.state === "added") renewPhotos();
    },
  });
  const suffixes = new Set(root.dataset.suffixes.split(" "));
  // A folder holds other files, too; a file that somebody chose by itself is sent, whatever its name.
  const add = (found) => {
    const isPicture = ({ file, folder }) => !folder || suffixes.has(suffixOf(file.name));
    const readable = found.filter((each) => each.file);
    if (readable.some(isPicture)) queue.add(readable.filter(isPicture));
    const path = ({ name, folder }) => (folder ? `${folder}/${name}` : name);
    for (const each of found.filter((one) => one.error)) view.list("failed", path(each), each.error);
    for (const each of readable.filter((one) => !isPicture(one))) {
      view.list("skipped", path({ name: each.file.name, folder: each.folder }));
    }
    view.draw(queue);
  };
  wireForm(root, form, add);
  wireDrops(root, add);
  wirePaste(add);
  wireProgress(root, queue, view);
}

function wireForm(root, form, add) {
  root.classList.add("has-script");
  for (const part of root.querySelectorAll(".with-script")) part.hidden = false;
  const folder = root.querySelector("#upload-folder");
  folder.parentElement.hidden = !("webkitdirectory" in folder); // some phones choose no folders
  form.querySelector("[type=submit]").hidden = true;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const input of form.querySelectorAll("[type=file]")) {
    const take = () => {
      if (!input.files.length) return;
      add(filesOfList(input.files));
      input.value = ""; // so that the same files may be chosen again
    };
    input.addEventListener("change", take);
    take(); // what was chosen before this script was there
  }
}

// The whole page is the target: who misses a small one would have the browser leave the page for the picture.
function wireDrops(root, add) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // dragenter and dragleave come for each element on the way
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    root.classList.toggle("is-target", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    root.scrollIntoView({ block: "nearest" });
    for await (const found of filesOfEntries(entriesOf(event.dataTransfer))) add(found);
  });
}

function wirePaste(add) {
  document.addEventListener("paste", (event) => {
    const files = filesOfList(event.clipboardData.files);
    if (!files.length) return; // text, for a field
    event.preventDefault();
    add(files);
  });
}

function wireProgress(root, queue, view) {
  root.querySelector(".upload-stop").addEventListener("click", () => queue.stop());
  root.querySelector(".upload-notice button").addEventListener("click", () => queue.resume());
  addEventListener("online", () => queue.pause?.until && queue.resume());
  addEventListener("beforeunload", (event) => {
    if (!queue.isOver) event.preventDefault();
  });
  // The seconds of a pause go by while nothing changes.
  setInterval(() => queue.pause && view.draw(queue), 1000);
}

let renewal = null;

// Tell the photos on this page to renew themselves: they listen for `photos-added` on the body.
function renewPhotos() {
  renewal ??= setTimeout(() => {
    renewal = null;
    document.body.dispatchEvent(new CustomEvent("photos-added"));
  }, RENEW_MS);
}

// The cookie first: a log-in in another tab changes it.
function csrfToken(form) {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  return cookie ? cookie.slice("csrftoken=".length) : form.elements.csrfmiddlewaretoken.value;
}

function suffixOf(name) {
  const place = name.lastIndexOf(".");
  return place > 0 ? name.slice(place).toLowerCase() : "";
}
