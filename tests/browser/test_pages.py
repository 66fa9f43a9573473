"""The pages in a real browser: log in, make a gallery, upload, watch it being indexed, search. With and without JS."""

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import pictures
from tests.browser.conftest import add_photos, log_in
from tests.faults.invariants import photo_states
from tests.service import RunningService

pytestmark = pytest.mark.browser


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
    add_photos(page, [*good, bad])
    expect(page.locator(".tile")).to_have_count(3)
    service.wait_until(lambda: "pending" not in photo_states(service).values(), "no photo is pending")
    expect(page.locator(".tile", has_text="1 face")).to_have_count(1)
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
