// The files of one upload, and what becomes of them: sent a few per request, sent again when the connection breaks.

import { ConnectionLost, Refused, post } from "./upload_request.js";

// A few files per request: so little is sent twice when the connection breaks, and small files do not wait for answers.
const BATCH_FILES = 8;
const BATCH_BYTES = 16 * 2 ** 20;
// After a broken connection: the first pause, doubled after each further one, and the longest.
const FIRST_PAUSE_SECONDS = 1;
const LONGEST_PAUSE_SECONDS = 30;
// How often a file is sent when it alone fails, while others arrive.
const MOST_FAILURES = 3;
// Refusals that the next files would meet, too.
const HALTING = new Set(["quota_photos", "quota_bytes", "storage_full", "storage_failed"]);
const STOPPED = "stopped";

// A file on its way. `state` is one of: waiting, sending, added, already_there, refused, failed, unsent.
class Item {
  constructor({ file, folder }) {
    this.file = file;
    this.folder = folder;
    this.state = "waiting";
    this.sentBytes = 0;
    this.isResent = false;
    this.isAlone = false; // in its request, because a request with others failed
    this.failures = 0;
    this.failedAt = -1; // how many requests had succeeded then
    this.message = "";
    this.photo = null; // {id, filename}: the new photo, or the one that was there
  }

  get path() {
    return this.folder ? `${this.folder}/${this.file.name}` : this.file.name;
  }
}

// Tells `onBegin` that files come after nothing was left to do, `onChange` that anything is different, and `onSettled` of
// each item whose fate is known.
export class UploadQueue {
  constructor({ terms, onBegin, onChange, onSettled }) {
    this.terms = terms; // {photosUrl, jobUrl(id), closeUrl(id), fileBytes, requests, csrfToken()}
    this.onBegin = onBegin;
    this.onChange = onChange;
    this.onSettled = onSettled;
    this.begin();
  }

  begin() {
    this.jobId = null;
    this.hasJob = false;
    this.photoIds = new Set(); // of those added
    this.waiting = [];
    this.sending = new Set();
    this.counts = { added: 0, already_there: 0, refused: 0, failed: 0, unsent: 0 };
    this.total = 0;
    this.totalBytes = 0;
    this.settledBytes = 0;
    this.successes = 0;
    this.pauseSeconds = FIRST_PAUSE_SECONDS;
    this.pause = null; // {message, until}: `until` null waits for the visitor
    this.aborting = new AbortController();
    this.startedAt = performance.now();
    this.isOver = true;
  }

  get settled() {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  get sentBytes() {
    return [...this.sending].reduce((sum, item) => sum + item.sentBytes, this.settledBytes);
  }

  add(found) {
    if (this.isOver) {
      this.begin();
      this.jobId = randomId();
      this.isOver = false;
      this.onBegin();
    }
    for (const each of found) {
      const item = new Item(each);
      this.total += 1;
      this.totalBytes += item.file.size;
      if (item.file.size > this.terms.fileBytes) {
        const limit = Math.floor(this.terms.fileBytes / 2 ** 20);
        this.settle(item, "refused", `The file is larger than ${limit} MiB, the limit here.`);
      } else {
        this.waiting.push(item);
      }
    }
    this.run();
  }

  // Go on at once: the visitor says so, or the connection is back.
  resume() {
    clearTimeout(this.timer);
    this.pause = null;
    this.run();
  }

  // Send nothing more. What has arrived stays.
  stop() {
    clearTimeout(this.timer);
    this.pause = null;
    this.aborting.abort(STOPPED);
    const left = [...this.sending, ...this.waiting];
    this.waiting = [];
    this.sending.clear();
    for (const item of left) this.settle(item, "unsent", "Not sent: the upload was stopped.");
    this.run();
  }

  run() {
    while (!this.pause && this.waiting.length && this.requests() < this.terms.requests) this.sendBatch();
    if (!this.isOver && !this.waiting.length && !this.sending.size) this.finish();
    this.onChange();
  }

  requests() {
    return new Set([...this.sending].map((item) => item.batch)).size;
  }

  nextBatch() {
    const batch = [this.waiting.shift()];
    let bytes = batch[0].file.size;
    while (!batch[0].isAlone && this.waiting.length && batch.length < BATCH_FILES) {
      const [next] = this.waiting;
      bytes += next.file.size;
      if (next.isAlone || bytes > BATCH_BYTES) break;
      batch.push(this.waiting.shift());
    }
    return batch;
  }

  async sendBatch() {
    const batch = this.nextBatch();
    const form = new FormData();
    for (const item of batch) {
      item.state = "sending";
      item.batch = batch;
      this.sending.add(item);
      form.append("files", item.file, item.file.name);
      form.append("folders", item.folder);
    }
    const { signal } = this.aborting;
    try {
      const answer = await post(`${this.terms.photosUrl}?job_id=${this.jobId}`, form, {
        csrfToken: this.terms.csrfToken(),
        onProgress: (share) => this.spread(batch, share),
        signal,
      });
      this.accept(batch, answer);
    } catch (error) {
      if (signal.aborted) return;
      await this.handle(batch, error);
      if (signal.aborted) return;
    }
    this.run();
  }

  // The files of a request travel one after the other.
  spread(batch, share) {
    let bytes = share * batch.reduce((sum, item) => sum + item.file.size, 0);
    for (const item of batch) {
      item.sentBytes = Math.min(item.file.size, bytes);
      bytes -= item.sentBytes;
    }
    this.onChange();
  }

  accept(batch, answer) {
    this.successes += 1;
    this.pauseSeconds = FIRST_PAUSE_SECONDS;
    let halting = "";
    batch.forEach((item, place) => {
      const { code, message, photo_id, photo_filename, photo_job_id } = answer.files[place];
      let { result } = answer.files[place];
      // The request that added it was answered, but the answer was lost with the connection.
      const isOurs = photo_job_id === this.jobId;
      if (item.isResent && isOurs && !this.photoIds.has(photo_id)) result = "added";
      if (result === "added") this.photoIds.add(photo_id);
      this.hasJob ||= isOurs;
      item.photo = photo_id && { id: photo_id, filename: photo_filename };
      this.settle(item, result, message);
      if (HALTING.has(code)) halting = message;
    });
    if (halting && this.waiting.length) this.halt(halting);
  }

  settle(item, state, message = "") {
    item.state = state;
    item.message = message;
    this.sending.delete(item);
    this.counts[state] += 1;
    this.settledBytes += item.file.size;
    this.onSettled(item);
  }

  // -- what goes wrong ------------------------------------------------------------------------------------

  async handle(batch, error) {
    if (error instanceof ConnectionLost) {
      const gone = await unreadable(batch);
      for (const item of gone) this.settle(item, "failed", "The file has changed or cannot be read any more.");
      const left = batch.filter((item) => !gone.includes(item));
      if (left.length) this.sendAgain(left, "The connection is lost.");
    } else if (!(error instanceof Refused)) {
      throw error;
    } else if (error.code === "job_over") {
      await this.jobIsOver(batch);
    } else if (error.status === 401 || error.code === "csrf") {
      this.putBack(batch);
      this.halt("You are logged out. Please log in again in another tab, then go on here.");
    } else if (error.status === 403 || error.status === 404 || error.status === 507) {
      this.putBack(batch);
      this.halt(error.message);
    } else if (error.retryAfterSeconds !== null) {
      this.putBack(batch);
      this.rest("The service is busy.", error.retryAfterSeconds);
    } else if (error.status >= 500) {
      this.sendAgain(batch, "The service does not answer as it should.");
    } else if (batch.length > 1) {
      for (const item of batch) item.isAlone = true; // one of them is the reason: this finds out which
      this.putBack(batch);
    } else {
      this.settle(batch[0], "refused", error.message);
    }
  }

  putBack(batch) {
    for (const item of batch) {
      item.state = "waiting";
      item.isResent = true;
      item.sentBytes = 0;
      this.sending.delete(item);
    }
    this.waiting.unshift(...batch);
  }

  // Send them once more after a pause, alone and behind all others: a file that never arrives must not hold up the rest.
  sendAgain(batch, reason) {
    for (const item of batch) {
      // Only a failure after others arrived counts: else it is not the file that is the reason.
      if (this.successes > item.failedAt) item.failures += 1;
      item.failedAt = this.successes;
      item.isAlone = true;
    }
    const hopeless = batch.filter((item) => item.failures >= MOST_FAILURES);
    for (const item of hopeless) this.settle(item, "failed", "It could not be sent, although other files could.");
    this.putBack(batch.filter((item) => !hopeless.includes(item)));
    this.waiting.push(...this.waiting.splice(0, batch.length - hopeless.length));
    if (this.pause) return; // another request broke with the same connection
    this.rest(reason, this.pauseSeconds);
    this.pauseSeconds = Math.min(2 * this.pauseSeconds, LONGEST_PAUSE_SECONDS);
  }

  rest(message, seconds) {
    if (this.pause && this.pause.until === null) return;
    clearTimeout(this.timer);
    this.pause = { message, until: performance.now() + 1000 * seconds };
    this.timer = setTimeout(() => this.resume(), 1000 * seconds);
  }

  halt(message) {
    clearTimeout(this.timer);
    this.pause = { message, until: null };
  }

  // A computer that slept for long finds its job closed, and begins another; a job that was cancelled ends the upload.
  async jobIsOver(batch) {
    this.putBack(batch);
    const job = await fetch(this.terms.jobUrl(this.jobId)).then((answer) => answer.json(), () => ({}));
    if (job.state === "finished") {
      this.jobId = randomId();
      this.hasJob = false;
    } else if (job.state === "cancelled") {
      this.stop();
    } else {
      this.halt("The import is over.");
    }
  }

  finish() {
    this.isOver = true;
    if (!this.hasJob) return;
    // Only the visitor's tab knows that nothing more will come. If this is lost, the job ends by itself in minutes.
    const headers = { "X-CSRFToken": this.terms.csrfToken() };
    fetch(this.terms.closeUrl(this.jobId), { method: "POST", headers, keepalive: true }).catch(() => {});
  }
}

// Return the items whose files cannot be read: then a request fails as if the connection were lost.
async function unreadable(batch) {
  const read = await Promise.allSettled(batch.map((item) => item.file.slice(0, 1).arrayBuffer()));
  return batch.filter((_, place) => read[place].status === "rejected");
}

// crypto.randomUUID exists on HTTPS pages only.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
