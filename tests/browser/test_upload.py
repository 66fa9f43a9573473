"""Uploading in a real browser: whole folders, a connection that breaks, refusals, and what is said of each file."""

import io
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import REFUSALS, log_in, opened_page
from tests.faults.invariants import photo_states
from tests.faults.proxy import FreezingProxy
from tests.service import RunningService

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots"
PHOTOS = 300
BYTES_PER_SECOND = 1_500_000
#: What Chromium and htmx say in the console while nothing can be reached.
CONNECTION_LOST = ("net::ERR_", "htmx:")


def jpeg(number: int, side: int = 256) -> bytes:
    """A picture like no other with another number: noise does not become smaller."""
    buffer = io.BytesIO()
    noise = Image.effect_noise((side, side), 90)
    noise.putpixel((0, 0), number % 256)
    noise.putpixel((0, 1), number // 256)
    noise.convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 photos in a folder and two below it, one of them twice, and two files that are no pictures."""
    folder = tmp_path_factory.mktemp("dropped") / "Holiday"
    places = [folder, folder / "2019" / "Rome", folder / "2020"]
    for place in places:
        place.mkdir(parents=True)
    for number in range(PHOTOS):
        (places[number % 3] / f"photo {number:03}.jpg").write_bytes(jpeg(number))
    (folder / "2020" / "copy.jpg").write_bytes((folder / "photo 000.jpg").read_bytes())
    (folder / "notes.txt").write_text("no picture")
    (folder / "2020" / "Thumbs.db").write_bytes(b"no picture")
    return folder


def open_gallery(page: Page) -> str:
    """Log in, make a gallery, open its page; return its id."""
    log_in(page)
    page.get_by_label("Name").fill(f"Upload {uuid.uuid4().hex[:8]}")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#upload.has-script")).to_be_visible()
    return page.url.rstrip("/").rpartition("/")[2]


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders of this machine on the page, as a file manager would."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 300, "data": data})


def slow_down(page: Page) -> None:
    """Give the page the connection of somebody at home, so that there is progress to see."""
    devtools = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 10, "downloadThroughput": -1, "uploadThroughput": BYTES_PER_SECOND}
    devtools.send("Network.emulateNetworkConditions", conditions)


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def get(page: Page, path: str) -> Any:
    answer = page.request.get(f"/api/v1{path}")
    assert answer.ok, answer.text()
    return answer.json()


def test_a_dropped_folder_of_300_photos_arrives_although_the_connection_breaks(
    browser: Browser, service: RunningService, folder: Path
) -> None:
    with (
        FreezingProxy(service.ports.web) as proxy,
        opened_page(
            browser, service, url=f"http://127.0.0.1:{proxy.port}", complaints=(*REFUSALS, *CONNECTION_LOST)
        ) as page,
    ):
        gallery_id = open_gallery(page)
        slow_down(page)
        drop(page, folder)
        text, notice = page.locator(".upload-text"), page.locator(".upload-notice")
        expect(text).to_contain_text(re.compile(r"^\d\d of 301 files"))
        expect(page.locator(".upload-files progress").first).to_be_visible()
        expect(text).to_contain_text(re.compile(r"^1\d\d of 301 files"))
        shoot(page, "upload-progress")

        assert proxy.cut(new_too=True) > 0
        expect(notice).to_contain_text("The connection is lost.")
        expect(notice).to_contain_text("Trying again in")
        shoot(page, "upload-connection-lost")
        proxy.heal()
        notice.get_by_role("button", name="Go on now").click()

        expect(page.locator(".upload-summary")).to_contain_text("300 photos added.")
        lists = page.locator(".upload-lists")
        expect(lists).to_contain_text("2 files left out: not named like pictures")
        expect(lists).to_contain_text("1 photo already here")
        expect(lists.locator("summary")).to_have_count(2)
        # Which of the two arrived first is chance.
        same = lists.get_by_role("link", name=re.compile("photo 000.jpg|copy.jpg"))
        expect(same).to_have_attribute("href", re.compile("/photos/.+/"))
        shoot(page, "upload-summary")

        (job,) = get(page, f"/jobs?gallery_id={gallery_id}")["items"]
        assert job["total"] == sum(get(page, f"/galleries/{gallery_id}/progress").values()) == PHOTOS
        photos = get(page, f"/galleries/{gallery_id}/photos?limit=100&filename=photo%2010")["items"]
        assert {photo["filename"] for photo in photos} == {f"photo 10{digit}.jpg" for digit in range(10)}
        expect(page.locator(".tile").first).to_be_visible()  # the photos on the page renewed themselves
        same.click()
        expect(page.get_by_role("heading", name=re.compile("photo 000.jpg|copy.jpg"))).to_be_visible()
    service.wait_until(lambda: "pending" not in photo_states(service).values(), "no photo is pending")


# -- answers of the service ---------------------------------------------------------------------------------


@pytest.fixture
def script_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    """The page of an empty gallery, which may complain of refused requests."""
    with opened_page(browser, service, complaints=("Failed to load resource",)) as page:
        open_gallery(page)
        yield page


def answering(page: Page, *answers: Callable[[Route], None]) -> list[Route]:
    """Let the uploads of the page be answered by these, in order, and after them by the service. Return those seen."""
    seen: list[Route] = []

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        seen.append(route)
        if len(seen) <= len(answers):
            answers[len(seen) - 1](route)
        else:
            route.continue_()

    page.route(re.compile(r"/api/v1/galleries/[^/]+/photos\?"), answer)
    return seen


def problem(status: int, code: str, detail: str, **headers: str) -> Callable[[Route], None]:
    body = json.dumps({"type": "about:blank", "title": "", "status": status, "detail": detail, "code": code})

    def answer(route: Route) -> None:
        route.fulfill(status=status, body=body, headers={"Content-Type": "application/problem+json"} | headers)

    return answer


def few(count: int, start: int = 1000) -> list[Any]:
    return [
        {"name": f"few {number}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(start + number, 32)}
        for number in range(count)
    ]


def choose(page: Page, files: list[Any]) -> None:
    page.locator("input[name=photos]").set_input_files(files)


def test_a_busy_service_is_asked_again_when_it_says(script_page: Page) -> None:
    busy = problem(429, "too_many_uploads", "Please wait until one is done.", **{"Retry-After": "1"})
    seen = answering(script_page, busy)
    choose(script_page, few(3))
    expect(script_page.locator(".upload-summary")).to_contain_text("3 photos added.")
    assert len(seen) == 2


def test_an_upload_waits_for_somebody_who_is_logged_out(script_page: Page) -> None:
    answering(script_page, problem(401, "not_logged_in", "Please log in."))
    choose(script_page, few(2, 1100))
    notice = script_page.locator(".upload-notice")
    expect(notice).to_contain_text("log in again in another tab")
    notice.get_by_role("button", name="Go on now").click()
    expect(script_page.locator(".upload-summary")).to_contain_text("2 photos added.")


def test_one_file_that_is_refused_does_not_keep_the_others_out(script_page: Page) -> None:
    refused = problem(422, "invalid_request", "One of these files cannot be taken.")
    answering(script_page, refused, refused)
    choose(script_page, few(3, 1200))
    expect(script_page.locator(".upload-summary")).to_contain_text("2 photos added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("1 file refused")
    expect(script_page.locator(".upload-lists")).to_contain_text("few 0.jpg: One of these files cannot be taken.")


def test_an_upload_stops_at_a_full_quota_and_says_what_was_not_sent(script_page: Page) -> None:
    answer = {"filename": "", "photo_id": None, "photo_filename": "", "state": ""}
    full = answer | {"result": "refused", "code": "quota_photos", "message": "10 of 10 photos are there already."}
    body = json.dumps({"files": [full] * 8, "job_id": None, "warning": ""})
    both = [lambda route: route.fulfill(status=202, body=body, content_type="application/json")] * 2
    answering(script_page, *both)
    choose(script_page, few(20, 1300))
    notice = script_page.locator(".upload-notice")
    expect(notice).to_contain_text("10 of 10 photos are there already.")
    script_page.get_by_role("button", name="Stop").click()
    expect(script_page.locator(".upload-summary")).to_contain_text("No photo was added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("16 files refused")
    expect(script_page.locator(".upload-lists")).to_contain_text("4 files not sent")


def test_a_file_that_is_too_large_is_named_and_not_sent(script_page: Page) -> None:
    seen = answering(script_page)
    limit = int(script_page.locator("#upload").get_attribute("data-file-bytes") or 0)
    script_page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "huge.jpg", {type: "image/jpeg"}));
          const event = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
          document.body.dispatchEvent(event);
        }""",
        limit + 1,
    )
    expect(script_page.locator(".upload-lists")).to_contain_text("huge.jpg: The file is larger than")
    expect(script_page.locator(".upload-summary")).to_contain_text("No photo was added.")
    assert seen == []


def test_what_arrived_before_the_connection_broke_is_counted_as_added(script_page: Page) -> None:
    def lose_answer(route: Route) -> None:
        assert route.fetch().status == 202
        route.abort("connectionreset")

    answering(script_page, lose_answer)
    files = few(2, 1700)
    choose(script_page, [*files, files[0] | {"name": "again.jpg"}])
    expect(script_page.locator(".upload-summary")).to_contain_text("2 photos added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("1 photo already here")


def test_folders_that_are_dropped_together_are_one_upload(script_page: Page, tmp_path: Path) -> None:
    """The first is read, and all of it settled, before the second is read."""
    texts, photos = tmp_path / "Texts", tmp_path / "Photos"
    for folder, name, content in ((texts, "notes.txt", b"no picture"), (photos, "one.jpg", jpeg(1800, 32))):
        folder.mkdir()
        (folder / name).write_bytes(content)
    drop(script_page, texts, photos)
    expect(script_page.locator(".upload-summary")).to_contain_text("1 photo added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("Texts/notes.txt")
    # The photo comes into the grid, and nobody is told of a new one that they do not see.
    expect(script_page.locator(".tile")).to_have_count(1)
    expect(script_page.locator("#changes")).not_to_contain_text("new photo")


def test_a_picture_is_pasted(script_page: Page) -> None:
    script_page.evaluate(
        """(bytes) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", {type: "image/png"}));
          document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        list(jpeg(1400, 32)),
    )
    expect(script_page.locator(".upload-summary")).to_contain_text("1 photo added.")


def test_a_file_that_vanished_is_named_instead_of_being_sent_for_ever(script_page: Page, tmp_path: Path) -> None:
    paths = [tmp_path / f"gone {number}.jpg" for number in range(2)]
    for number, path in enumerate(paths):
        path.write_bytes(jpeg(1500 + number, 32))

    def wait(route: Route) -> None:
        paths[1].unlink()
        route.abort("connectionreset")

    answering(script_page, wait)
    choose(script_page, paths)
    expect(script_page.locator(".upload-summary")).to_contain_text("1 photo added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("gone 1.jpg: The file has changed")


def test_a_stopped_upload_says_what_was_not_sent(script_page: Page) -> None:
    answering(script_page, lambda route: None, lambda route: None)  # no answer at all
    choose(script_page, few(40, 1600))
    expect(script_page.locator(".upload-text")).to_contain_text("0 of 40 files")
    script_page.get_by_role("button", name="Stop").click()
    expect(script_page.locator(".upload-summary")).to_contain_text("No photo was added.")
    expect(script_page.locator(".upload-lists")).to_contain_text("40 files not sent")
