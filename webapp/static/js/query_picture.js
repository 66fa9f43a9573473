/**
 * The picture that somebody searches with, carried from the form to the page with the matches.
 *
 * The service does not keep it. A small copy stays in the tab's own storage, which no other tab reads and which ends with
 * the tab, so that it is still there when somebody comes back from a match.
 */

/** The longer side of the copy in pixels. */
const LONGEST_SIDE = 800;
const JPEG_QUALITY = 0.8;
/** Of how many searches the pictures are kept. Each is some 100 KB; browsers give a tab about 5 MB. */
const KEPT = 5;
/** How far the proportions of copy and answer may differ before the copy is another search's. */
const TOLERANCE = 0.02;
const CHOSEN = "facequeue.query.chosen";
const OF_SEARCH = "facequeue.query.of:";
const ORDER = "facequeue.query.order";

/** Keep a copy of the file as the one that is about to be sent. Rejects if the browser cannot show such a picture. */
export async function keepChosen(file) {
  forgetChosen();
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // as the service does with what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  store(CHOSEN, canvas.toDataURL("image/jpeg", JPEG_QUALITY));
}

export function forgetChosen() {
  sessionStorage.removeItem(CHOSEN);
}

/** Return the address of the copy for the search of this name, or null. The first search to ask takes the chosen one. */
export async function pictureOf(search, width, height) {
  let copy = sessionStorage.getItem(OF_SEARCH + search);
  if (copy === null) {
    copy = sessionStorage.getItem(CHOSEN);
    if (copy === null) return null;
  }
  const blob = blobOf(copy);
  const picture = await createImageBitmap(blob);
  const isIts = Math.abs((picture.width / picture.height) / (width / height) - 1) <= TOLERANCE + 1 / Math.min(picture.width, picture.height);
  picture.close();
  if (!isIts) return null;
  forgetChosen();
  keep(search, copy);
  return URL.createObjectURL(blob);
}

function keep(search, copy) {
  const order = JSON.parse(sessionStorage.getItem(ORDER) ?? "[]").filter((each) => each !== search);
  order.push(search);
  while (order.length > KEPT) sessionStorage.removeItem(OF_SEARCH + order.shift());
  store(ORDER, JSON.stringify(order));
  store(OF_SEARCH + search, copy);
}

/** Storage that is full, or turned off, costs the picture and nothing else. */
function store(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** The pages' policy allows pictures from blobs, not from data addresses. */
function blobOf(dataAddress) {
  const bytes = Uint8Array.from(atob(dataAddress.split(",", 2)[1]), (char) => char.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}
