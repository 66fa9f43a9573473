"""A real browser, and pages that nobody is logged in to yet."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.service import RunningService
from tests.waiting import PATIENCE_SECONDS
from tests.web_client import PASSWORD, USERNAME

#: A browser beside a whole service on a busy machine is slow; pages without JavaScript reload every few seconds.
PATIENCE_MS = PATIENCE_SECONDS * 1000
expect.set_options(timeout=PATIENCE_MS)
#: What Chromium says of pages that are refused.
REFUSALS = ("400 (Bad Request)", "404 (Not Found)")
#: Chromium must not talk to anybody but the service under test, and root may not use its sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="package")  # no longer: while Playwright is open, nothing else has an event loop here
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
    with opened_page(browser, service, has_javascript=request.param) as page:
        yield page


@contextmanager
def opened_page(
    browser: Browser,
    service: RunningService,
    *,
    has_javascript: bool = True,
    url: str = "",
    complaints: tuple[str, ...] = REFUSALS,
) -> Iterator[Page]:
    """A page in a context of its own, without anybody's cookies. In the end, it must not have complained.

    `url` is another way to the service; errors in the console with one of `complaints` are what a test is about.
    """
    context = browser.new_context(base_url=url or service.url, java_script_enabled=has_javascript)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # Chromium reports refusals, which tests ask for, as well; anything else is a fault of a page.
        if message.type == "error" and not any(words in message.text for words in complaints):
            problems.append(message.text)

    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", note)
    try:
        yield page
    finally:
        context.close()
    assert problems == []


def add_photos(page: Page, files: Sequence[Path]) -> None:
    """Upload from a gallery's page, by its form: with JavaScript, choosing the files is enough."""
    page.wait_for_load_state()  # its script has run, if it may
    page.locator("input[name=photos]").set_input_files(files)
    has_javascript = page.locator("#upload.has-script").count() > 0
    if has_javascript:
        expect(page.locator(".upload-summary")).to_be_visible()
    else:
        page.get_by_role("button", name="Upload").click()


def log_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name").fill(USERNAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Galleries", exact=True)).to_be_visible()
