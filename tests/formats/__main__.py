"""`python -m tests.formats` (`make formats`) writes docs/formats.md from what it finds."""

import shutil

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS
from tests.formats import others
from tests.formats.comparison import compare, decode_all
from tests.formats.corpus import files
from tests.formats.document import FILE, document
from tests.formats.rules import all_rules


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        compared = compare(browser.new_page(), files())
        browser.close()
    FILE.write_text(document(all_rules(), compared, decode_all(others.files())))


main()
