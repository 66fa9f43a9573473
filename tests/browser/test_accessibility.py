"""axe-core (https://github.com/dequelabs/axe-core) finds nothing on any page: on a screen in the light theme, and on a
phone in the dark one. No page is wider than a phone, either.

Every address that the authorization matrix lists for GET is a page here, or has a reason why not.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.conftest import REFUSALS, log_in, opened_page
from tests.service import RunningService
from tests.unit.webapp.authorization import ROWS, ROWS_OF_SETTINGS
from tests.web_client import WebClient

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots" / "pages"
SCREEN, PHONE = (1280, 900), (390, 844)
#: Everything that WCAG 2.2 asks for at level AA, and what axe recommends besides; it leaves the size of targets out.
OPTIONS: Final = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}

NO_PAGE = "no page"
PART = "a part of a page that is checked"
OFF = "not turned on in the service under test"
MIDDLE = "only in the middle of a log-in: test_accounts.py goes through it"
THEIRS = "made by Django Ninja and Swagger"
#: Addresses that are no pages of ours to check.
OTHERS: Final = {
    "/galleries/{gallery_id}/grid/": PART,
    "/galleries/{gallery_id}/changes/": PART,
    "/jobs/{job_id}/progress/": PART,
    "/generations/{number}/progress/": PART,
    "/photos/{photo_id}/thumbnail/{digest}.jpg": NO_PAGE,
    "/photos/{photo_id}/preview/{digest}.jpg": NO_PAGE,
    "/faces/{face_id}/crop/{digest}.jpg": NO_PAGE,
    "/photos/{photo_id}/original/": NO_PAGE,
    "/health/live": NO_PAGE,
    "/health/ready": NO_PAGE,
    "/metrics": NO_PAGE,
    "/login/code/": MIDDLE,
    "/login/with/{provider_id}/": OFF,
    "/login/with/{provider_id}/callback/": OFF,
    "/account/linked/": OFF,
    "/account/email/": OFF,
    "/password/forgotten/": OFF,
    "/sign-up/": OFF,
}
#: Pages for strangers; whoever is logged in is led away from them.
OPEN: Final = ("/login/", "/sign-up/{token}/", "/password/{user_code}/{token}/")

MEMBER: Final = """
from django.contrib.auth.models import User
from webapp.accounts.keys import key_create
from webapp.gallery.models import Gallery, Level, Member
gallery = Gallery.objects.get(id="{gallery_id}")
member, _ = User.objects.get_or_create(username="accessible-member")
Member.objects.create(gallery=gallery, user=member, level=Level.EDITOR)
key_create(user=gallery.owner, name="accessible", scopes=frozenset(["read"]))
"""


def addresses() -> list[str]:
    found = {row.path for row in (*ROWS, *ROWS_OF_SETTINGS) if row.method == "GET" and row.scope is None}
    return sorted(path for path in found if not path.startswith("/api/") and path not in OTHERS)


def test_whatever_is_no_page_is_an_address() -> None:
    known = {row.path for row in (*ROWS, *ROWS_OF_SETTINGS)}
    assert set(OTHERS) <= known


@pytest.fixture(scope="module")
def site(service: RunningService) -> dict[str, str]:
    """A gallery with photos of every kind, and the values for the addresses of its pages."""
    with closing(WebClient(service.url)) as client:
        gallery_id = client.create_gallery(f"Accessible {uuid.uuid4().hex[:8]}")
        group = pictures.sample_file("astronaut").read_bytes()
        files = {"astronaut.png": group, "coffee.png": pictures.sample_file("coffee").read_bytes(), "words.jpg": b"no"}
        added = client.upload(gallery_id, files)
        service.wait_until(lambda: client.progress(gallery_id)["pending"] == 0, "no photo is pending")
        photo_id = added[0]["photo_id"]
        (face,) = client.get(f"/photos/{photo_id}")["faces"]
        named = client.http.put(f"/api/v1/faces/{face['id']}/person", json={"name": "Ada"}, headers=client.headers)
        assert named.status_code == 200, named.text
        invitation = client.http.post(
            f"/api/v1/galleries/{gallery_id}/invitations", json={"level": "viewer"}, headers=client.headers
        ).json()
        search = client.http.post(
            f"/api/v1/galleries/{gallery_id}/searches", files={"image": group}, headers=client.headers
        ).json()
        client.get(f"/searches/{search['ticket']}", wait=60)
        (job,) = client.get("/jobs", gallery_id=gallery_id)["items"]
        generations = client.get("/generations")["items"]
    service.manage("shell", "--command", MEMBER.format(gallery_id=gallery_id))
    password, sign_up = (
        urlsplit(service.manage(*command).stdout.strip()).path.strip("/").split("/")
        for command in (("password_link", "accessible-member"), ("invite_user",))
    )
    return {
        "gallery_id": gallery_id,
        "photo_id": photo_id,
        "job_id": job["id"],
        "number": str(generations[0]["number"]),
        "ticket": search["ticket"],
        "invitation": urlsplit(invitation["url"]).path.strip("/").split("/")[-1],
        "user_code": password[-2],
        "password": password[-1],
        "sign_up": sign_up[-1],
    }


@pytest.fixture(scope="module")
def member_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        log_in(page)
        yield page


@pytest.fixture(scope="module")
def stranger_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with opened_page(browser, service) as page:
        yield page


def filled(path: str, site: dict[str, str]) -> str:
    tokens = {"/password": "password", "/sign-up": "sign_up", "/invitations": "invitation"}
    token = next((site[name] for start, name in tokens.items() if path.startswith(start)), "")
    return path.format(**site, token=token)


def problems_of(page: Page, name: str) -> list[str]:
    """Look at the page on a screen and on a phone; keep a picture of each."""
    problems = []
    for theme, (width, height) in (("light", SCREEN), ("dark", PHONE)):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": height})
        for violation in Axe().run(page, options=OPTIONS).response["violations"]:
            nodes = "; ".join(node["html"][:200] for node in violation["nodes"])
            problems.append(f"{theme}, {width} pixels: {violation['id']} ({violation['help']}): {nodes}")
        across = page.evaluate("document.documentElement.scrollWidth")
        if across > width:
            problems.append(f"{theme}, {width} pixels: the page is {across} pixels wide")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{theme}.png", full_page=True)
    return problems


def slug(path: str) -> str:
    return path.strip("/").replace("/", "-").replace("{", "").replace("}", "") or "galleries"


@pytest.mark.parametrize("path", addresses())
def test_axe_finds_nothing_on(path: str, site: dict[str, str], member_page: Page, stranger_page: Page) -> None:
    page = stranger_page if path in OPEN else member_page
    answer = page.goto(filled(path, site))
    assert answer is not None
    assert answer.status == 200, path
    if "{token}" not in path:  # a page hides the token from its own address
        assert page.url.partition("?")[0].endswith(filled(path, site)), f"{path} leads to {page.url}"
    assert problems_of(page, slug(path)) == []


def summary(page: Page, site: dict[str, str]) -> None:
    page.goto(f"/galleries/{site['gallery_id']}/")
    page.locator("input[name=photos]").set_input_files(pictures.sample_file("astronaut"))
    expect(page.locator(".upload-lists")).to_contain_text("1 photo already here")


def sending(page: Page, site: dict[str, str]) -> None:
    page.goto(f"/galleries/{site['gallery_id']}/")
    full = {"status": 401, "code": "not_logged_in", "detail": "Please log in."}
    page.route("**/api/v1/galleries/*/photos?*", lambda route: route.fulfill(status=401, body=json.dumps(full)))
    page.locator("input[name=photos]").set_input_files(pictures.sample_file("coffee"))
    expect(page.locator(".upload-notice")).to_contain_text("logged out")


def failed_photo(page: Page, site: dict[str, str]) -> None:
    page.goto(f"/galleries/{site['gallery_id']}/")
    page.locator(".tile", has_text="words.jpg").locator("a").first.click()
    expect(page.get_by_role("heading", name="words.jpg")).to_be_visible()


def refusal(page: Page, site: dict[str, str]) -> None:
    page.goto(f"/galleries/{uuid.uuid4()}/")
    expect(page.get_by_text("There is no such gallery.")).to_be_visible()


def new_key(page: Page, site: dict[str, str]) -> None:
    page.goto("/account/keys/")
    page.get_by_label("Name").first.fill("accessible")
    page.get_by_role("checkbox", name="read:").check()
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("input.secret")).to_be_visible()


def chosen(page: Page, site: dict[str, str]) -> None:
    page.goto(f"/galleries/{site['gallery_id']}/")
    page.locator("#tiles input[type=checkbox]").first.check()
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete")).to_be_visible()


def empty_gallery(page: Page, site: dict[str, str]) -> None:
    page.goto("/")
    page.get_by_label("Name").fill(f"Empty {uuid.uuid4().hex[:8]}")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Empty")).to_be_visible()


@pytest.mark.parametrize("state", [chosen, empty_gallery, failed_photo, new_key, refusal, sending, summary])
def test_axe_finds_nothing_in_the_state(
    state: Callable[[Page, dict[str, str]], None], site: dict[str, str], browser: Browser, service: RunningService
) -> None:
    with opened_page(browser, service, complaints=(*REFUSALS, "401")) as page:
        log_in(page)
        state(page, site)
        assert problems_of(page, f"state-{state.__name__}") == []


def test_the_summary_of_the_plain_form_is_accessible(
    browser: Browser, service: RunningService, site: dict[str, Any]
) -> None:
    with opened_page(browser, service, complaints=(*REFUSALS, "net::ERR_")) as page:  # axe needs JavaScript itself
        page.route("**/js/upload.js", lambda route: route.abort())
        log_in(page)
        page.goto(f"/galleries/{site['gallery_id']}/")
        page.locator("input[name=photos]").set_input_files(pictures.sample_file("astronaut"))
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_text("the same as astronaut.png")).to_be_visible()
        assert problems_of(page, "state-plain-summary") == []
