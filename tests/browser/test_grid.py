"""The grid in a real browser: ten thousand photos, choosing some of them, and from one photo to the next."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Response, expect

from tests import pictures
from tests.browser.conftest import log_in, opened_page
from tests.browser.many_photos import add_many_photos
from tests.service import RunningService
from webapp.http.pages import GRID_SIZE

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(settings.BASE_DIR) / "var" / "screenshots"
PHONE = {"width": 390, "height": 844}
MANY = 10_000
MOST_THUMBNAIL_BYTES = 1_500_000


@pytest.fixture
def script_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        yield page


def new_gallery(page: Page) -> str:
    """Make a gallery; return its id. The page shows it."""
    log_in(page)
    name = f"Grid {uuid.uuid4().hex[:8]}"
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    found = re.search(r"/galleries/([0-9a-f-]+)/", page.url)
    assert found is not None
    return found[1]


def picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_ten_thousand_photos_are_looked_through_chosen_and_deleted(script_page: Page, service: RunningService) -> None:
    page = script_page
    gallery_id = new_gallery(page)
    add_many_photos(service, gallery_id, MANY)

    # The first part: few bytes, and no more than the grid shows.
    thumbnails: list[Response] = []
    page.on("response", lambda response: thumbnails.append(response) if "/thumbnail/" in response.url else None)
    page.goto(f"/galleries/{gallery_id}/")
    expect(page.get_by_text(f"{MANY - 240} no faces")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert thumbnails
    assert all(response.ok for response in thumbnails)
    assert sum(len(response.body()) for response in thumbnails[:GRID_SIZE]) < MOST_THUMBNAIL_BYTES
    picture(page, "grid-of-10000")

    # It goes on by itself, part by part.
    tiles = page.locator(".tile")
    expect(tiles.first).to_be_visible()
    page.mouse.move(400, 400)
    while tiles.count() < 4 * GRID_SIZE:
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(50)  # the wheel is a hand's: it has no end to wait for
    page.wait_for_load_state("networkidle")
    picture(page, "grid-scrolled")

    # To a photo, along the list, and back to where it is.
    target = tiles.nth(2 * GRID_SIZE + 5)
    name = target.locator(".name").text_content() or ""
    target.scroll_into_view_if_needed()
    target.locator("a.picture").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.wait_for_load_state()  # a key before that is nobody's
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name=f"IMG_{2 * GRID_SIZE + 6:05}.jpg")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    for _ in range(3):
        page.go_back()
    expect(page.locator(".tile", has_text=name)).to_be_in_viewport()

    # A range with the shift key; deleting asks.
    boxes = page.get_by_role("checkbox", name="Choose IMG_")
    boxes.nth(2).scroll_into_view_if_needed()
    boxes.nth(2).check()
    boxes.nth(5).click(modifiers=["Shift"])
    expect(page.locator("#chosen")).to_contain_text("4 chosen")
    boxes.nth(3).uncheck()
    expect(page.locator("#chosen")).to_contain_text("3 chosen")
    picture(page, "grid-chosen")
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete 3 photos from")).to_be_visible()
    picture(page, "grid-delete-asks")
    page.get_by_role("button", name="Delete 3 photos").click()
    expect(page.get_by_text("3 photos are being deleted")).to_be_visible()

    # All that match, also those that are not loaded.
    page.goto(f"/galleries/{gallery_id}/?state=no_faces&folder=2024/Oslo&sort=taken_at")
    page.get_by_label(f"All {(MANY - 240) // 2} that match").check()
    expect(page.locator("#chosen")).to_contain_text("All are chosen")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name=f"Delete {(MANY - 240) // 2} photos").click()
    expect(page.get_by_text(f"{(MANY - 240) // 2} photos are being deleted")).to_be_visible()
    assert "folder=2024" in urlsplit(page.url).query

    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(f"/galleries/{gallery_id}/?sort=taken_at")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, "grid-phone")
    page.goto("/")
    page.wait_for_load_state("networkidle")
    picture(page, "galleries-phone")


def test_tiles_change_by_themselves_and_keep_their_ticks(script_page: Page) -> None:
    page = script_page
    gallery_id = new_gallery(page)
    page.locator("input[name=photos]").set_input_files([pictures.sample_file(each) for each in ("astronaut", "coffee")])
    if (button := page.get_by_role("button", name="Upload")).is_visible():
        button.click()
    expect(page.locator(".tile")).to_have_count(2)
    page.get_by_role("checkbox", name=f"Choose {pictures.PORTRAIT}").check()
    expect(page.locator(".tile", has_text="1 face").locator("img")).to_be_visible()
    expect(page.locator(".tile [data-waiting]")).to_have_count(0)
    expect(page.locator(".tile img")).to_have_count(2)
    expect(page.get_by_role("checkbox", name=f"Choose {pictures.PORTRAIT}")).to_be_checked()
    expect(page.locator("#changes")).to_contain_text("1 indexed")
    page.goto("/")
    expect(page.locator(f'a.cover[href="/galleries/{gallery_id}/"] img')).to_be_visible()
    picture(page, "galleries")
