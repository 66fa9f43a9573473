"""People make an account, look after it, and delete it with everything in it."""

import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests import pictures
from tests.browser.conftest import add_photos
from tests.faults.invariants import database, photo_states
from tests.service import RunningService

pytestmark = pytest.mark.browser

OLD, NEW = "first horse battery", "second horse battery"
PERIOD_SECONDS = 30


@pytest.fixture
def name(page: Page, service: RunningService) -> str:
    """Somebody who has made an account by an invitation, and is logged in."""
    name = f"person{uuid.uuid4().hex[:8]}"
    page.goto(service.manage("invite_user").stdout.strip().partition(f":{service.ports.web}")[2])
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(OLD)
    page.get_by_label("Password again").fill(OLD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="Galleries", exact=True)).to_be_visible()
    return name


def log_out(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Log out {name}").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def code_of(secret: str, periods: int = 0) -> str:
    code: str = format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD_SECONDS + periods))
    return code


def test_a_person_changes_their_password_and_turns_on_the_second_factor(page: Page, name: str) -> None:
    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="Change your password").click()
    page.get_by_label("Current password").fill(OLD)
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password again").fill(NEW)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("The password is changed")
    log_out(page, name)
    log_in(page, name, OLD)
    expect(page.get_by_role("alert")).to_contain_text("Wrong name or password")
    log_in(page, name, NEW)

    page.get_by_role("link", name="Account").click()
    page.get_by_label("dark").check()
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    page.get_by_role("link", name="Second factor").click()
    assert page.locator("img.qr").evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.locator("code").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows").fill(code_of(secret))
    page.get_by_label("Current password").fill(NEW)
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    recovery = page.locator(".codes li").first.inner_text()

    for code in (code_of(secret, periods=1), recovery):
        log_out(page, name)
        log_in(page, name, NEW)
        page.get_by_label("Code that your app shows").fill("000000")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("Code that your app shows").fill(code)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Galleries", exact=True)).to_be_visible()


def test_a_person_deletes_their_account_and_no_row_file_or_vector_of_it_is_left(
    page: Page, name: str, service: RunningService, tmp_path: Path
) -> None:
    others = set(service.all_face_ids())
    gallery = f"Friends of {name}"
    page.get_by_label("Name").fill(gallery)
    page.get_by_role("button", name="Create").click()
    photo = tmp_path / f"{name}.jpg"
    photo.write_bytes(pictures.edited_portrait())
    add_photos(page, [photo])
    expect(page.locator(".tile")).to_have_count(1)
    service.wait_until(lambda: "pending" not in photo_states(service).values(), "no photo is pending")
    expect(page.locator(".tile", has_text="1 face")).to_have_count(1)
    service.wait_until(lambda: set(service.all_face_ids()) - others, "its face is in the vector store")
    files = _files_of(service, name)
    assert len(files) == 1

    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="Delete your account").click()
    expect(page.get_by_text("1 gallery with 1 photo")).to_be_visible()
    page.get_by_label("Current password").fill("wrong")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("alert")).to_contain_text("not your password")
    page.get_by_label("Current password").fill(OLD)
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("status")).to_contain_text("Your account is closed")
    log_in(page, name, OLD)
    expect(page.get_by_role("alert")).to_contain_text("Wrong name or password")

    service.wait_until(lambda: not _rows_with(service, name), "no row of the account is left")
    assert set(service.all_face_ids()) == others
    assert not any(file.exists() for file in files)


def _files_of(service: RunningService, name: str) -> list[Path]:
    with database(service) as connection:
        rows = connection.execute("SELECT file FROM gallery_photo WHERE filename = ?", [f"{name}.jpg"])
        return [service.folder / "photos" / file for (file,) in rows]


def _rows_with(service: RunningService, text: str) -> list[str]:
    """Return what of the whole database has the text in it."""
    with database(service) as connection, closing(connection.cursor()):
        return [line for line in connection.iterdump() if text in line]
