"""API keys in front of the real web process: what they open, what invented ones cost, and where none of them shows."""

import json

import httpx
import pytest

from tests.attacks.hostile import Client, Spent
from tests.attacks.test_bodies import HUGE, MULTIPART, NEXT_TO_NOTHING, ONE_CONNECTION, PHOTOS, TAKEN_AT_MOST, framing
from tests.service import RunningService
from tests.web_client import USERNAME, WebClient

pytestmark = pytest.mark.services

INVENTED = "fq_" + "a" * 32


@pytest.fixture
def key(attacked: RunningService) -> dict[str, str]:
    """A new key of the user: its `id`, and its `token`."""
    scopes = ("--scope", "read", "--scope", "write")
    made: dict[str, str] = json.loads(
        attacked.manage("create_api_key", USERNAME, "--name", "attacker", *scopes, "--json").stdout
    )
    return made


@pytest.mark.parametrize("is_chunked", [False, True], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize(
    "header", [f"X-Api-Key: {INVENTED}", f"Authorization: Bearer {INVENTED}", "Authorization: Basic YTpi"]
)
def test_photos_with_a_key_that_is_none_are_refused_before_they_are_read(
    attacked: RunningService, header: str, is_chunked: bool
) -> None:
    with Client(attacked) as client:  # what the first refusal imports is compiled and written
        client.head("POST", PHOTOS, "Content-Length: 1", MULTIPART, header)
        client.answer()
    spent = Spent(attacked)
    with Client(attacked) as client:
        client.head("POST", PHOTOS, framing(is_chunked), MULTIPART, header)
        sent = client.flood(HUGE, is_chunked=is_chunked)
        status, answer = client.answer()
    assert (status, '"code": "bad_key"' in answer) == (401, True)
    assert "www-authenticate: bearer" in answer.lower()
    assert sent < TAKEN_AT_MOST
    assert spent.written_bytes < NEXT_TO_NOTHING
    assert spent.memory_bytes < ONE_CONNECTION


def test_a_key_opens_the_door_until_it_is_revoked_and_shows_in_no_log(
    attacked: RunningService, user: WebClient, key: dict[str, str]
) -> None:
    with httpx.Client(base_url=attacked.url, headers={"X-Api-Key": key["token"]}) as program:
        made = program.post("/api/v1/galleries", json={"name": f"Of {key['id']}"})
        assert made.status_code == 201, made.text
        assert {"ratelimit", "ratelimit-policy"} <= set(made.headers)
        form = {"csrfmiddlewaretoken": user.headers["X-CSRFToken"]}
        revoked = user.http.post(f"/account/keys/{key['id']}/revoke/", data=form)
        assert revoked.status_code == 302
        refusals = [
            program.get("/api/v1/galleries"),
            program.post("/api/v1/galleries", json={"name": "Too late"}),
            program.get("/api/v1/galleries", headers={"Authorization": f"Basic {key['token']}"}),
        ]
    assert [refused.status_code for refused in refusals] == [401, 401, 401]
    assert all("ratelimit-policy" in refused.headers for refused in refusals)
    assert key["token"] not in attacked.log("web")


def test_photos_that_are_sent_twice_are_added_once(attacked: RunningService, key: dict[str, str]) -> None:
    headers = {"X-Api-Key": key["token"]}
    photos = [("files", (f"{number}.jpg", bytes([number]) * 100_000)) for number in range(3)]
    with httpx.Client(base_url=attacked.url, headers=headers) as program:
        gallery = program.post("/api/v1/galleries", json={"name": f"Twice {key['id']}"}).json()["id"]
        answers = [
            program.post(f"/api/v1/galleries/{gallery}/photos", files=photos, headers={"Idempotency-Key": "one"})
            for _ in range(2)
        ]
        counted = program.get(f"/api/v1/galleries/{gallery}/progress").json()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert sum(counted.values()) == 3
