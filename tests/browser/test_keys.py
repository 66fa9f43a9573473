"""A person makes an API key in a browser, uses it on a command line, and revokes it."""

import subprocess
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import log_in

pytestmark = pytest.mark.browser


def curl(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as the page shows it; it also prints the status."""
    command = command.replace("curl ", "curl --silent --write-out ' %{http_code}' ", 1)
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)


def test_a_key_is_made_used_with_curl_and_revoked(page: Page) -> None:
    log_in(page)
    page.get_by_role("link", name="API keys").click()
    name = f"Key {uuid.uuid4().hex[:8]}"
    page.get_by_label("Name").fill(name)
    page.get_by_label("read: see galleries").check()
    page.get_by_role("button", name="Make a key").click()
    token = page.get_by_label("API key", exact=True).input_value()
    command = page.locator("pre").inner_text()
    assert token in command
    assert curl(command).stdout.endswith(" 200")

    page.get_by_role("link", name="API keys").click()
    expect(page.get_by_label("API key", exact=True)).to_have_count(0)
    expect(page.get_by_role("row", name=name)).to_contain_text(token[:9])
    page.get_by_role("button", name=f"Revoke {name}").click()
    expect(page.get_by_text(f"The API key “{name}” is revoked.")).to_be_visible()
    refused = curl(command).stdout
    assert refused.endswith(" 401")
    assert "bad_key" in refused
