// What a visitor has dropped, chosen or pasted, as a list of {file, folder}. `folder` is the path of the folder that the
// file was in, beginning with the folder that was dropped or chosen; empty for a single file.

// Yield lists of {file, folder}, and {name, folder, error} for what cannot be read, folder by folder.
// The entries must have been taken from the event already: after it, the browser shows none (see `entriesOf`).
export async function* filesOfEntries(entries) {
  const left = [...entries];
  while (left.length) {
    const entry = left.shift();
    if (entry instanceof File) {
      yield [{ file: entry, folder: "" }];
    } else if (entry.isFile) {
      yield [await fileOf(entry)];
    } else {
      const found = [];
      try {
        const children = await childrenOf(entry);
        for (const child of children.filter((each) => each.isFile)) found.push(await fileOf(child));
        left.push(...children.filter((each) => each.isDirectory));
      } catch {
        found.push({ name: entry.name, folder: parentOf(entry.fullPath), error: "This folder cannot be read." });
      }
      if (found.length) yield found;
    }
  }
}

// Take what was dropped out of its event: file system entries where the browser has them, else files.
export function entriesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  return items.map((item) => item.webkitGetAsEntry?.() || item.getAsFile()).filter(Boolean);
}

// Return the files of an <input type="file">, or of a clipboard.
export function filesOfList(list) {
  return [...list].map((file) => ({ file, folder: parentOf(file.webkitRelativePath || "") }));
}

function fileOf(entry) {
  const folder = parentOf(entry.fullPath);
  return new Promise((resolve) => {
    const fail = () => resolve({ name: entry.name, folder, error: "This file cannot be read." });
    entry.file((file) => resolve({ file, folder }), fail);
  });
}

// A reader gives a folder's entries in parts; the empty one is the last.
async function childrenOf(directory) {
  const reader = directory.createReader();
  const children = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return children.sort((one, other) => (one.name < other.name ? -1 : 1));
    children.push(...part);
  }
}

function parentOf(path) {
  return path.split("/").slice(0, -1).filter(Boolean).join("/");
}
