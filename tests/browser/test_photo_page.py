"""The page of a photo in a real browser, on a phone: naming faces by hand. Screenshots go to var/screenshots/."""

import uuid
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.conftest import log_in, opened_page
from tests.service import RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
SCREENSHOTS = settings.BASE_DIR / "var" / "screenshots"


@pytest.fixture(scope="module")
def photo_address(service: RunningService) -> str:
    """Six people on a photo, indexed."""
    client = WebClient(service.url)
    gallery_id = client.create_gallery(f"Six {uuid.uuid4().hex[:8]}")
    client.upload(gallery_id, {"six.jpg": pictures.sample_bytes("six_people")})
    service.wait_until(lambda: client.progress(gallery_id)["indexed"] == 1, "the photo is indexed")
    photo_id = client.photos(gallery_id)["six.jpg"]["id"]
    client.close()
    return f"/photos/{photo_id}/"


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def phone(request: pytest.FixtureRequest, browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service, has_javascript=request.param) as page:
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        log_in(page)
        yield page


def test_faces_are_named_on_a_phone(phone: Page, photo_address: str) -> None:
    phone.goto(photo_address)
    expect(phone.locator("rect.face")).to_have_count(6)
    expect(phone.locator(".face-card img")).to_have_count(6)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "the page scrolls sideways"
    fields = phone.get_by_placeholder("Who is this?")
    for field in fields.all():
        box = field.bounding_box()
        assert box is not None
        assert box["width"] >= 140, "a name fits into its field"
    phone.screenshot(path=SCREENSHOTS / "photo-phone.png", full_page=True)

    # A tap on the last face leads to its name, which is far below.
    target = phone.locator("rect.face").last
    target.click()
    field = fields.last
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport()
    name = f"Ada {uuid.uuid4().hex[:6]}"
    phone.keyboard.type(name)
    phone.keyboard.press("Enter")
    field = phone.get_by_label("Name of face 6", exact=True)
    expect(field).to_have_value(name)
    expect(field).to_be_in_viewport()
    expect(phone.locator("svg.boxes text").last).to_have_text(name)
    phone.screenshot(path=SCREENSHOTS / "photo-phone-named.png")
    field.fill("")
    field.press("Enter")
    expect(phone.get_by_label("Name of face 6", exact=True)).to_have_value("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_photo_is_accessible(
    browser: Browser, service: RunningService, photo_address: str, scheme: str
) -> None:
    with opened_page(browser, service) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        log_in(page)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(photo_address)
            expect(page.locator(".face-card")).to_have_count(6)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        page.screenshot(path=SCREENSHOTS / f"photo-{scheme}.png", full_page=True)
