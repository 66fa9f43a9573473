"""How Chromium shows a picture file: on white, upright, in sRGB."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from worker.recognition.interfaces import Image

#: Files per call to the page, so that no single message is huge.
_AT_ONCE = 40
_DRAW = """async files => await Promise.all(files.map(async ([content, type]) => {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], {type}));
    try {
        const image = new Image();
        const loaded = await new Promise(resolve => {
            image.onload = () => resolve(true);
            image.onerror = () => resolve(false);
            image.src = address;
        });
        if (!loaded || !image.naturalWidth) return null;
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d", {willReadFrequently: true});
        context.drawImage(image, 0, 0);
        const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let text = "";
        for (let at = 0; at < pixels.length; at += 8192) text += String.fromCharCode(...pixels.subarray(at, at + 8192));
        return [canvas.width, canvas.height, btoa(text)];
    } finally { URL.revokeObjectURL(address); }
}))"""
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif"}


@dataclass(frozen=True)
class Shown:
    """What Chromium draws of a picture: BGR uint8 over white, and where it is opaque (height, width)."""

    pixels: Image
    opaque: NDArray[np.bool_]

    @property
    def opaque_share(self) -> float:
        """How much of the picture is opaque (0..1): less than all of it if it is transparent, or cut short."""
        return float(self.opaque.mean())


def shown(page: Page, files: Sequence[tuple[str, bytes]]) -> Iterator[Shown | None]:
    """Yield what Chromium shows of each file (its format and its bytes); None: a broken picture."""
    for start in range(0, len(files), _AT_ONCE):
        part = [(base64.b64encode(data).decode(), _TYPES[kind]) for kind, data in files[start : start + _AT_ONCE]]
        for drawn in page.evaluate(_DRAW, part):
            yield None if drawn is None else _over_white(*drawn)


def _over_white(width: int, height: int, text: str) -> Shown:
    rgba: NDArray[np.uint8] = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    alpha = rgba[:, :, 3:] / 255.0
    flat = rgba[:, :, 2::-1] * alpha + 255 * (1 - alpha)
    return Shown(np.rint(flat).astype(np.uint8), rgba[:, :, 3] == 255)
