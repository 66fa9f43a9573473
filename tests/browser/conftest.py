"""A real browser, and pages of the running service in it, with and without JavaScript."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS
from tests.web_client import PASSWORD, USERNAME

#: A browser beside a whole service on a busy machine is slow; pages without JavaScript reload every few seconds.
PATIENCE_MS = PATIENCE_SECONDS * 1000
expect.set_options(timeout=PATIENCE_MS)
#: Chromium must not talk to anybody but the service under test, and root may not use its sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="package")
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
