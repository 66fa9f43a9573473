"""Searching in a real browser: the picture at once, one face of several, the slider, names. Screenshots go to var/."""

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from PIL import Image as Pillow
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.conftest import log_in, opened_page
from tests.service import RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.browser

SCREENSHOTS = settings.BASE_DIR / "var" / "screenshots"
SIX = "six_people"
#: What a paste of a picture is to a page.
PASTE = """encoded => {
    const bytes = Uint8Array.from(atob(encoded), char => char.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "pasted.jpg", {type: "image/jpeg"}));
    document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true}));
}"""

#: Keeps what the button of a form says when the form is sent.
KEEP_WORDS = """() => document.addEventListener(
    "submit", event => sessionStorage.setItem("words", event.submitter.textContent)
)"""


@pytest.fixture(scope="module")
def gallery_id(service: RunningService) -> str:
    """Six people twice, so that each has a match, and somebody else."""
    client = WebClient(service.url)
    gallery_id = client.create_gallery(f"Searched {uuid.uuid4().hex[:8]}")
    with Pillow.open(pictures.sample_file(SIX)) as six:
        smaller = pictures.pillow_bytes(six.resize((six.width * 3 // 4, six.height * 3 // 4)), "JPEG")
    files = {"six.jpg": pictures.sample_bytes(SIX), "smaller.jpg": smaller}
    client.upload(gallery_id, files | {pictures.PORTRAIT: pictures.sample_bytes("astronaut")})
    service.wait_until(lambda: client.progress(gallery_id)["indexed"] == 3, "the photos are indexed")
    client.close()
    return gallery_id


@pytest.fixture
def desk(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        log_in(page)
        yield page


def is_drawn(page: Page, picture: str) -> bool:
    """Tell whether the browser has decoded the picture."""
    width: int = page.locator(picture).evaluate("image => image.naturalWidth")
    return width > 0


def test_a_chosen_picture_is_shown_at_once_and_one_of_its_faces_is_chosen_filtered_and_named(
    desk: Page, gallery_id: str
) -> None:
    desk.goto(f"/search/?gallery={gallery_id}")
    desk.locator("input[type=file]").set_input_files(pictures.sample_file(SIX))
    expect(desk.get_by_alt_text("The picture that you have chosen")).to_be_visible()
    desk.screenshot(path=SCREENSHOTS / "search-form.png", full_page=True)

    # Once the form is being sent, Playwright waits for the next page: what the button says then is looked up there.
    desk.evaluate(KEEP_WORDS)
    desk.get_by_role("button", name="Search", exact=True).click()
    expect(desk.get_by_alt_text("Your picture")).to_be_visible()
    assert desk.evaluate("sessionStorage.getItem('words')") == "Searching…"
    assert is_drawn(desk, "[data-asked] img")
    expect(desk.locator("[data-sketch]")).to_be_hidden()
    expect(desk.locator("section.searched:visible")).to_have_count(1)
    expect(desk.locator("svg.boxes rect.face")).to_have_count(6)
    desk.locator("svg.boxes rect.face").nth(2).click()
    section = desk.locator("section.searched:visible")
    expect(section.get_by_role("heading")).to_have_text("Face 3 in your picture")
    expect(section.locator("canvas.searched-crop")).to_be_visible()
    # The face itself, and the one on the smaller copy of the photo.
    expect(section.locator(".match:visible .certainty.very_likely")).to_have_count(2)
    matches = section.locator(".match:visible").count()
    desk.screenshot(path=SCREENSHOTS / "search-result.png", full_page=True)

    slider = desk.get_by_role("slider")
    slider.press("End")
    assert section.locator(".match:visible").count() < matches
    slider.press("Home")
    assert section.locator(".match:visible").count() >= matches
    expect(desk.get_by_text("also faces that are probably somebody else")).to_be_visible()
    desk.screenshot(path=SCREENSHOTS / "search-result-loose.png", full_page=True)
    section.get_by_role("button", name="Tick all shown").click()
    slider.fill("0.86")  # where a match is very likely with the dlib pack
    expect(section.locator(".match:visible")).to_have_count(2)
    expect(section.locator("input[type=checkbox]:checked")).to_have_count(2)
    expect(section.locator(".similarity:visible")).to_have_count(0)
    desk.get_by_label("Show the similarity as a number").check()
    expect(section.locator(".similarity:visible")).to_have_count(2)

    name = f"Grace {uuid.uuid4().hex[:6]}"
    section.get_by_label("Name of the ticked faces").fill(name)
    section.get_by_role("button", name="Name them").click()
    expect(desk.get_by_text("2 faces named.")).to_be_visible()
    expect(desk.get_by_alt_text("Your picture")).to_be_visible()
    desk.get_by_role("link", name="Face 3").click()
    expect(section.locator(".match:visible .person")).to_have_text([name, name])
    # Back from a match, the picture is still there.
    section.locator(".match:visible a").first.click()
    expect(desk.locator(".face-card.marked")).to_have_count(1)
    desk.go_back()
    expect(desk.get_by_alt_text("Your picture")).to_be_visible()


def test_a_picture_is_pasted_and_dropped(desk: Page, gallery_id: str) -> None:
    desk.goto(f"/galleries/{gallery_id}/search/")
    chosen = desk.get_by_alt_text("The picture that you have chosen")
    expect(chosen).to_be_hidden()
    encoded = base64.b64encode(pictures.edited_portrait()).decode()
    desk.evaluate(PASTE, encoded)
    expect(chosen).to_be_visible()
    assert desk.locator("input[type=file]").evaluate("input => input.files[0].name") == "pasted.jpg"
    drop = PASTE.replace("ClipboardEvent", "DragEvent").replace("clipboardData", "dataTransfer")
    desk.evaluate(drop.replace('"paste"', '"drop"').replace("pasted", "dropped"), encoded)
    assert desk.locator("input[type=file]").evaluate("input => input.files[0].name") == "dropped.jpg"
    desk.get_by_role("button", name="Search", exact=True).click()
    expect(desk.get_by_text(pictures.PORTRAIT).first).to_be_visible()
    expect(desk.get_by_alt_text("Your picture")).to_be_visible()


def test_a_picture_that_the_browser_cannot_show_is_searched_with_even_so(
    desk: Page, gallery_id: str, tmp_path: Path
) -> None:
    desk.goto(f"/galleries/{gallery_id}/search/")
    query = tmp_path / "query.heic"
    with Pillow.open(pictures.sample_file("astronaut")) as portrait:
        query.write_bytes(pictures.heic(portrait.convert("RGB")))
    desk.locator("input[type=file]").set_input_files(query)
    expect(desk.get_by_text("Your browser cannot show this kind of picture.")).to_be_visible()
    expect(desk.get_by_alt_text("The picture that you have chosen")).to_be_hidden()
    desk.get_by_role("button", name="Search", exact=True).click()
    expect(desk.get_by_text(pictures.PORTRAIT).first).to_be_visible()
    expect(desk.locator("[data-sketch]")).to_be_visible()


def test_without_javascript_the_slider_asks_for_the_page_again(
    browser: Browser, service: RunningService, gallery_id: str, tmp_path: Path
) -> None:
    query = tmp_path / "query.jpg"
    query.write_bytes(pictures.edited_portrait())
    with opened_page(browser, service, has_javascript=False) as page:
        log_in(page)
        page.goto(f"/galleries/{gallery_id}/search/")
        page.locator("input[type=file]").set_input_files(query)
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator(".match:visible")).to_have_count(1)
        page.get_by_role("slider").press("Home")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_url("**?least=*")
        assert page.locator(".match:visible").count() > 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_pages_are_accessible(
    browser: Browser, service: RunningService, gallery_id: str, scheme: str
) -> None:
    with opened_page(browser, service) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        log_in(page)
        page.goto("/search/")
        assert_accessible(page)
        page.locator("input[type=file]").set_input_files(pictures.sample_file(SIX))
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_alt_text("Your picture")).to_be_visible()
        page.get_by_role("slider").press("Home")
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert_accessible(page)
            page.screenshot(path=SCREENSHOTS / f"search-result-{scheme}-{width}.png", full_page=True)


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the page scrolls sideways"
