"""The pages in a real browser: log in, make a gallery, upload, watch it being indexed, search. With and without JS."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests import pictures
from tests.faults.invariants import photo_states
from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS
from tests.web_client import PASSWORD, USERNAME

pytestmark = pytest.mark.browser

#: A browser beside a whole service on a busy machine is slow; pages without JavaScript reload every few seconds.
PATIENCE_MS = PATIENCE_SECONDS * 1000
expect.set_options(timeout=PATIENCE_MS)
#: Chromium must not talk to anybody but the service under test, and root may not use its sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        assert not os.environ.get("CI"), "CI must have a Chromium"
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def page(request: pytest.FixtureRequest, browser: Browser, service: RunningService) -> Iterator[Page]:
    context = browser.new_context(base_url=service.url, java_script_enabled=request.param)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A refused picture is answered with 400, which Chromium reports as well; anything else is a fault of a page.
        if message.type == "error" and "400 (Bad Request)" not in message.text:
            problems.append(message.text)

    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", note)
    yield page
    context.close()
    assert problems == []


def log_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name").fill(USERNAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Galleries", exact=True)).to_be_visible()


def test_a_person_uploads_photos_sees_them_indexed_and_finds_a_face(
    page: Page, service: RunningService, tmp_path: Path
):
    log_in(page)
    name = f"Browser {uuid.uuid4().hex[:8]}"
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()

    bad = tmp_path / "words.jpg"
    bad.write_bytes(b"no picture at all")
    good = [pictures.sample_file(name) for name in ("astronaut", "coffee")]
    page.locator("input[name=photos]").set_input_files([*good, bad])
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".tile")).to_have_count(3)
    service.wait_until(lambda: "pending" not in photo_states(service).values(), "no photo is pending")
    expect(page.locator(".tile .badge.indexed")).to_have_count(1)
    expect(page.locator(".tile .badge.no_faces")).to_have_count(1)
    expect(page.locator(".tile .badge.failed")).to_have_count(1)
    expect(page.locator(".tile .why")).to_contain_text("not a picture")

    page.locator(".tile", has_text=pictures.PORTRAIT).locator("a").first.click()
    expect(page.locator("rect.face")).to_have_count(1)
    page.get_by_label("Name of face 1").fill("Eileen Collins")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Name of face 1")).to_have_value("Eileen Collins")
    page.get_by_role("button", name="Find face 1 on other photos").click()
    expect(page.get_by_role("heading", name="Matches in your galleries")).to_be_visible()
    expect(page.get_by_role("heading", name=f"The face on {pictures.PORTRAIT}")).to_be_visible()
    page.get_by_role("link", name="Galleries").first.click()
    page.get_by_role("link", name=name, exact=True).click()

    page.get_by_role("link", name="Search this gallery").click()
    query = tmp_path / "query.jpg"
    query.write_bytes(pictures.edited_portrait())
    page.locator("input[type=file]").set_input_files(query)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text(pictures.PORTRAIT).first).to_be_visible()
    expect(page.get_by_text("Eileen Collins").first).to_be_visible()


def test_a_search_with_a_file_that_is_no_picture_says_so_on_the_page(page: Page, tmp_path: Path):
    log_in(page)
    page.get_by_label("Name").fill(f"Wrong {uuid.uuid4().hex[:8]}")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="Search this gallery").click()
    query = tmp_path / "words.jpg"
    query.write_bytes(b"no picture at all")
    page.locator("input[type=file]").set_input_files(query)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
