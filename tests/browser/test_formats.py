"""Photos that browsers cannot show, or show wrong, on the real stack: upright, and with the box on the face."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from django.conf import settings
from PIL import Image as Pillow
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.conftest import log_in, opened_page
from tests.service import RunningService
from tests.web_client import WebClient
from worker.recognition.interfaces import Box, Image

pytestmark = pytest.mark.browser

SCREENSHOTS = settings.BASE_DIR / "var" / "screenshots"
PHOTO = Pillow.open(pictures.sample_file("astronaut")).convert("RGB").crop((0, 0, 512, 400))
#: Around the face of the portrait, from the hair to the chin, in pixels of the photo.
FACE = Box(left=160, top=50, right=290, bottom=200)
#: Where metadata has something that must not leave the original: the tags, and where they are.
PLANTED = "planted-7f3a9c"
_EXIF, _GPS = 0x8769, 0x8825


def metadata() -> Pillow.Exif:
    """Return EXIF with a position, names, and a serial number beside when and with what the photo was taken."""
    exif = Pillow.Exif()
    exif.update(
        {0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x010E: f"{PLANTED} description", 0x013B: f"{PLANTED} artist"}
    )
    inner = {0x9003: "2024:06:01 14:30:59", 0x9011: "+02:00", 0xA431: f"{PLANTED} serial", 0xA430: f"{PLANTED} owner"}
    exif.get_ifd(_EXIF).update(inner)
    place = {1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2), 27: f"{PLANTED} position".encode()}
    exif.get_ifd(_GPS).update(place)
    return exif


def files() -> dict[str, bytes]:
    """Return the portrait as four files, each with something of its own that browsers stumble over."""
    turned = pictures.stored_with_orientation(np.asarray(PHOTO), 6)
    exif = metadata()
    sideways = metadata()
    sideways[0x0112] = 6
    return {
        "iphone.heic": pictures.heic(PHOTO, quality=90, exif=exif.tobytes()),
        "scan.tif": pictures.pillow_bytes(PHOTO, "TIFF", compression="tiff_lzw"),
        "phone.webp": pictures.pillow_bytes(Pillow.fromarray(turned), "WEBP", quality=90, exif=sideways.tobytes()),
        "print.jpg": pictures.pillow_bytes(PHOTO.convert("CMYK"), "JPEG", quality=92, exif=exif.tobytes()),
    }


@pytest.fixture(scope="module")
def gallery_id(service: RunningService) -> Iterator[str]:
    """The gallery with the four photos, once they are indexed."""
    client = WebClient(service.url)
    gallery_id = client.create_gallery(f"Formats {uuid.uuid4().hex[:8]}")
    client.upload(gallery_id, files())

    def are_indexed() -> bool:
        states = {photo["state"] for photo in client.photos(gallery_id).values()}
        assert "failed" not in states
        return states == {"indexed"}

    service.wait_until(are_indexed, "all four photos are indexed")
    yield gallery_id
    client.close()


@pytest.fixture(scope="module")
def photo_ids(service: RunningService, gallery_id: str) -> dict[str, str]:
    """The ids of the photos by their names."""
    client = WebClient(service.url)
    found = {name: photo["id"] for name, photo in client.photos(gallery_id).items()}
    client.close()
    return found


@pytest.mark.parametrize("name", files())
def test_a_photo_is_shown_upright_with_the_box_on_the_face(
    name: str, browser: Browser, service: RunningService, photo_ids: dict[str, str]
) -> None:
    with logged_in(browser, service) as page:
        page.goto(f"/photos/{photo_ids[name]}/")
        expect(page.locator("svg rect.face")).to_have_count(1)
        page.screenshot(path=SCREENSHOTS / f"format {Path(name).suffix.removeprefix('.')}.png", full_page=True)
        with_box = drawn(page)
        page.locator(".drawn svg").evaluate("svg => { svg.style.visibility = 'hidden' }")
        without_box = drawn(page)

    assert difference_to_photo(without_box) < 6
    for quarter_turns in (1, 2, 3):
        assert difference_to_photo(np.rot90(without_box, quarter_turns)) > 30
    box = box_around((with_box != without_box).any(axis=2), without_box)
    assert FACE.left <= (box.left + box.right) / 2 <= FACE.right
    assert FACE.top <= (box.top + box.bottom) / 2 <= FACE.bottom
    assert 40 < box.right - box.left < 200


def test_a_grid_shows_every_format(browser: Browser, service: RunningService, gallery_id: str) -> None:
    with logged_in(browser, service) as page:
        page.goto(f"/galleries/{gallery_id}/")
        pictures_shown = page.locator("img[src*='/thumbnail/']")
        expect(pictures_shown).to_have_count(4)
        for number in range(4):
            tile = pictures_shown.nth(number)
            tile.scroll_into_view_if_needed()
            page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=tile.element_handle())
            assert tile.evaluate("image => image.naturalWidth > image.naturalHeight")
        page.screenshot(path=SCREENSHOTS / "formats.png", full_page=True)


def test_nothing_of_the_metadata_is_anywhere_but_in_the_originals(
    service: RunningService, photo_ids: dict[str, str]
) -> None:
    """Not in the database, not in Redis, not in logs, not in renditions: only in the files as they were uploaded."""
    found = [path for path in service.folder.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()]

    originals = {path for path in found if path.name == "original"}
    assert {path.parent.name for path in originals} >= {photo_ids[name] for name in ("iphone.heic", "print.jpg")}
    assert set(found) == originals
    renditions = [path for path in service.folder.rglob("*.jpg") if path.parent.name in photo_ids.values()]
    assert len(renditions) == 4 * 3
    for path in renditions:
        assert set(re.findall(rb"\xff[\xe1-\xef\xfe]", path.read_bytes().partition(b"\xff\xda")[0])) == set(), path


@contextmanager
def logged_in(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        log_in(page)
        yield page


def drawn(page: Page) -> Image:
    """Return the pixels of the photo as the page shows it."""
    image = page.locator(".drawn img")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    return pictures.from_pillow(Pillow.open(BytesIO(page.locator(".drawn").screenshot(animations="disabled"))))


def difference_to_photo(shown: Image) -> float:
    """Return how far what is shown is from the photo, at 64 x 64 pixels, of 255."""
    small = [cv2.resize(each, (64, 64), interpolation=cv2.INTER_AREA) for each in (shown, pictures.from_pillow(PHOTO))]
    return float(np.abs(small[0].astype(int) - small[1]).mean())


def box_around(changed: np.ndarray, shown: Image) -> Box:
    """Return the box around the pixels that changed, in pixels of the photo."""
    rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
    across, down = PHOTO.width / shown.shape[1], PHOTO.height / shown.shape[0]
    return Box(left=columns[0] * across, top=rows[0] * down, right=columns[-1] * across, bottom=rows[-1] * down)
