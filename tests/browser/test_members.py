"""Sharing a gallery in a real browser: invite, accept, view, edit, revoke."""

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.conftest import add_photos, opened_page
from tests.faults.invariants import photo_states
from tests.service import RunningService
from tests.web_client import PASSWORD, USERNAME

pytestmark = pytest.mark.browser

BOB = "bob"


@pytest.fixture
def alice_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        yield page


@pytest.fixture
def bob_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    make = f"from django.contrib.auth.models import User; User.objects.create_user({BOB!r}, password={PASSWORD!r})"
    service.manage("shell", "-c", make)
    with opened_page(browser, service, has_javascript=False) as page:
        yield page


def fill_log_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def test_a_gallery_is_shared_by_a_link_and_taken_back(alice_page: Page, bob_page: Page, service: RunningService):
    name = f"Shared {uuid.uuid4().hex[:8]}"
    alice_page.goto("/")
    fill_log_in(alice_page, USERNAME)
    alice_page.get_by_label("Name").fill(name)
    alice_page.get_by_role("button", name="Create").click()
    add_photos(alice_page, [pictures.sample_file("astronaut")])
    expect(alice_page.locator(".tile")).to_have_count(1)
    service.wait_until(lambda: "pending" not in photo_states(service).values(), "no photo is pending")

    # Invite, accept.
    alice_page.get_by_role("link", name="Share", exact=True).click()
    alice_page.get_by_role("button", name="Make a link").click()
    link = alice_page.get_by_label("shown only now").input_value()
    bob_page.goto(link)
    fill_log_in(bob_page, BOB)
    expect(bob_page.get_by_role("heading", name=f"{USERNAME} invites you to “{name}”")).to_be_visible()
    expect(bob_page.get_by_text("viewer")).to_be_visible()
    bob_page.get_by_role("button", name="Accept").click()

    # View.
    expect(bob_page.get_by_role("heading", name=name)).to_be_visible()
    expect(bob_page.get_by_text(f"Shared by {USERNAME}; you are a viewer.")).to_be_visible()
    expect(bob_page.get_by_role("button", name="Upload")).to_have_count(0)
    bob_page.locator(".tile a").first.click()
    expect(bob_page.locator("rect.face")).to_have_count(1)
    expect(bob_page.get_by_role("button", name="Save")).to_have_count(0)

    # Edit.
    alice_page.goto(alice_page.url.replace("/invitations/", "/members/"))
    alice_page.get_by_label(f"Permission level of {BOB}").select_option("editor")
    alice_page.get_by_role("button", name="Save").first.click()
    expect(alice_page.get_by_text(f"{BOB} is an editor now.")).to_be_visible()
    bob_page.reload()
    bob_page.get_by_label("Name of face 1").fill("Eileen Collins")
    bob_page.get_by_role("button", name="Save").click()
    expect(bob_page.get_by_label("Name of face 1")).to_have_value("Eileen Collins")

    # Revoke: the membership, and a link that nobody has used yet.
    alice_page.get_by_role("button", name=f"Remove {BOB}").click()
    expect(alice_page.get_by_text(f"{BOB} is no longer a member.")).to_be_visible()
    bob_page.reload()
    expect(bob_page.get_by_role("alert")).to_contain_text("no such photo")
    alice_page.get_by_role("button", name="Make a link").click()
    unused = alice_page.get_by_label("shown only now").input_value()
    alice_page.get_by_role("button", name="Revoke").first.click()
    expect(alice_page.get_by_text("The invitation is revoked.")).to_be_visible()
    for gone in (link, unused):
        bob_page.goto(gone)
        expect(bob_page.get_by_role("heading", name="That did not work")).to_be_visible()
    bob_page.goto("/")
    expect(bob_page.get_by_text(name)).to_have_count(0)
