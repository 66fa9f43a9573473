// What the page shows of an upload. However many files there are, only a few of them have rows while they are sent.

import { bytesText, counted, durationText } from "./upload_text.js";

const ROWS = 6;
// A list that is no longer than this is open: nobody has to look for what is in it.
const OPEN_ITEMS = 10;
// Before this, no speed is known.
const MEASURED_SECONDS = 3;

const LISTS = {
  refused: (count) => `${counted(count, "file")} refused`,
  failed: (count) => `${counted(count, "file")} not sent because of an error`,
  already_there: (count) => `${counted(count, "photo")} already here`,
  unsent: (count) => `${counted(count, "file")} not sent`,
  skipped: (count) => `${counted(count, "file")} left out: not named like pictures`,
};

export class UploadView {
  // `photoPage(id)` and `jobPage(id)` are addresses.
  constructor(root, { photoPage, jobPage }) {
    this.root = root;
    this.photoPage = photoPage;
    this.jobPage = jobPage;
    this.progress = root.querySelector(".upload-progress");
    this.summary = root.querySelector(".upload-summary");
    this.rows = new Map(); // of the items that are being sent
    this.begin();
  }

  begin() {
    this.lists = new Map();
    this.root.querySelector(".upload-lists").replaceChildren();
    this.summary.hidden = true;
  }

  // Draw at most once per frame, however much has changed.
  draw(queue) {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.drawNow(queue);
    });
  }

  drawNow(queue) {
    this.progress.hidden = queue.isOver;
    this.drawText(queue);
    this.drawNotice(queue.pause);
    this.drawRows(queue.isOver ? [] : [...queue.sending].slice(0, ROWS));
    for (const [kind, list] of this.lists) list.summary.textContent = LISTS[kind](list.count);
    if (queue.isOver && queue.total && this.summary.hidden) this.drawSummary(queue);
  }

  drawText(queue) {
    const files = `${queue.settled.toLocaleString("en")} of ${counted(queue.total, "file")}`;
    const bytes = `${bytesText(queue.sentBytes)} of ${bytesText(queue.totalBytes)}`;
    this.progress.querySelector(".upload-text").textContent = [files, bytes, leftText(queue)].filter(Boolean).join(" · ");
    const bar = this.progress.querySelector(".bar");
    bar.max = Math.max(1, queue.totalBytes);
    bar.value = queue.sentBytes;
  }

  drawNotice(pause) {
    const notice = this.progress.querySelector(".upload-notice");
    const isNew = notice.hidden && pause;
    notice.hidden = !pause;
    if (!pause) return;
    const seconds = pause.until && Math.max(0, Math.ceil((pause.until - performance.now()) / 1000));
    const then = pause.until ? ` Trying again in ${seconds} s.` : "";
    notice.querySelector("p").textContent = pause.message + then;
    if (isNew) this.say(pause.message);
  }

  drawRows(items) {
    const list = this.progress.querySelector(".upload-files");
    for (const [item, row] of this.rows) {
      if (items.includes(item)) continue;
      row.remove();
      this.rows.delete(item);
    }
    for (const item of items) {
      if (!this.rows.has(item)) {
        const row = this.clone(".upload-row");
        row.querySelector(".upload-name").textContent = item.path;
        row.querySelector("progress").setAttribute("aria-label", `Sent of ${item.path}`);
        this.rows.set(item, row);
        list.append(row);
      }
      const bar = this.rows.get(item).querySelector("progress");
      bar.max = Math.max(1, item.file.size);
      bar.value = item.sentBytes;
    }
    list.hidden = !items.length;
  }

  drawSummary(queue) {
    const { added } = queue.counts;
    const note = this.summary.querySelector(".note");
    const text = added ? `${counted(added, "photo")} added.` : "No photo was added.";
    note.className = `note ${added ? "success" : "warning"}`;
    note.replaceChildren(text, " ");
    if (queue.hasJob) note.append(link(this.jobPage(queue.jobId), "Follow the import"));
    this.summary.hidden = false;
    this.say([text, ...[...this.lists].map(([kind, list]) => `${LISTS[kind](list.count)}.`)].join(" "));
  }

  // Add a file to the list of its kind, with what is to be said about it.
  list(kind, path, detail) {
    if (!this.lists.has(kind)) {
      const details = this.clone(".upload-list");
      details.open = true;
      this.root.querySelector(".upload-lists").append(details);
      const [summary, rows] = [details.querySelector("summary"), details.querySelector("ul")];
      rows.setAttribute("aria-label", LISTS[kind](2).replace(/^2 /, ""));
      rows.tabIndex = 0; // it scrolls, also by keyboard
      this.lists.set(kind, { details, summary, rows, count: 0 });
    }
    const list = this.lists.get(kind);
    list.count += 1;
    if (list.count === OPEN_ITEMS + 1) list.details.open = false;
    const row = document.createElement("li");
    row.append(path, ...(detail ? [": ", detail] : []));
    list.rows.append(row);
  }

  listItem(item) {
    if (item.state === "already_there") {
      const same = document.createElement("span");
      same.append("the same as ", link(this.photoPage(item.photo.id), item.photo.filename));
      this.list(item.state, item.path, same);
    } else if (item.state !== "added") {
      this.list(item.state, item.path, item.message);
    }
  }

  say(text) {
    this.root.querySelector("[role=status]").textContent = text;
  }

  clone(template) {
    return this.root.querySelector(`template${template}`).content.firstElementChild.cloneNode(true);
  }
}

function leftText(queue) {
  const seconds = (performance.now() - queue.startedAt) / 1000;
  if (queue.pause || queue.isOver || seconds < MEASURED_SECONDS || !queue.sentBytes) return "";
  return `about ${durationText(((queue.totalBytes - queue.sentBytes) * seconds) / queue.sentBytes)} left`;
}

function link(address, text) {
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.textContent = text;
  return anchor;
}
