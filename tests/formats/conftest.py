"""The corpus, decoded here and shown by Chromium, once for all tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import browser
from tests.formats import others
from tests.formats.comparison import Comparison, compare, decode_all
from tests.formats.corpus import files

__all__ = ["browser"]


@pytest.fixture(scope="package")
def compared(browser: Browser) -> Iterator[list[Comparison]]:
    page = browser.new_page()
    yield compare(page, files())
    page.close()


@pytest.fixture(scope="package")
def decoded() -> list[Comparison]:
    """Files of formats that Chromium does not show."""
    return decode_all(others.files())
