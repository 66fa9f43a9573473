"""Who asks the fuzzed service, and what none of them may learn."""

import itertools
import json
import sqlite3
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import schemathesis

from tests import pictures
from tests.fuzz.api.owners import GALLERIES
from tests.service import RunningService

#: Their levels in ada's shared gallery.
LEVELS = {"bob": "stranger", "vera": "viewer", "edith": "editor", "ada": "owner"}
CSRF = "c" * 32


@dataclass(frozen=True, kw_only=True)
class Asker:
    """One way to ask: a user with a key of one scope, a session, or nobody."""

    label: str
    user: str | None
    headers: Mapping[str, str] = field(repr=False)
    scopes: frozenset[str]
    #: The galleries that the key is limited to, by name; None: all of the user's.
    limit: frozenset[str] | None = None


#: What the ids of a list's items, or of what was created there, are called elsewhere.
ID_NAMES: Final = {
    "faces": "face_id",
    "galleries": "gallery_id",
    "invitations": "invitation_id",
    "jobs": "job_id",
    "members": "member_id",
    "people": "person_id",
    "photos": "photo_id",
}
#: Parameters whose values answers show under their own name or another one.
SHOWN: Final = {
    "token": "token",
    "ticket": "ticket",
    "next_cursor": "cursor",
    "job_id": "job_id",
    "photo_id": "photo_id",
}
#: So many values are remembered that answers have shown, the newest.
LEARNED: Final = 20


class World:
    """The planted service, and what its answers have shown so far."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        shown = service.manage("shell", "-c", "from tests.fuzz.api.planting import plant; plant()").stdout
        self._planted: dict[str, Any] = json.loads(shown.splitlines()[-1])
        self.askers = self._askers()
        self._keys = itertools.count()
        galleries = self._planted["galleries"]
        self._learned: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LEARNED))
        self._learned["digest"].extend(self._planted["digests"])
        for name, known in galleries.items():
            self._learned["ticket"].append(self._search(name, known["gallery_id"][0]))
        #: By canary: the gallery whose it is.
        self.canaries = {
            value: name for name, known in galleries.items() for values in known.values() for value in values
        }

    def values(self, parameter: str) -> list[str]:
        """Return what a parameter may be given to mean something that exists, whosever it is; empty if unknown."""
        name = parameter.removesuffix("s")
        known = self._planted["galleries"].values()
        planted = [each for gallery in known for each in gallery.get(name, ())] if name.endswith("_id") else []
        return [*planted, *self._learned[name]]

    def new_key(self) -> str:
        """Return an Idempotency-Key that no request has had."""
        return f"key-{next(self._keys)}"

    def learn(self, path: str, answer: Any) -> None:
        """Remember the ids and the like in the JSON that an operation has answered with."""
        if not isinstance(answer, dict):
            return
        for item in answer.get("items", [answer]):
            if isinstance(item, dict) and "id" in item and (name := ID_NAMES.get(path.rpartition("/")[2])):
                self._learned[name].append(item["id"])
        for shown, parameter in SHOWN.items():
            if isinstance(answer.get(shown), str):
                self._learned[parameter].append(answer[shown])

    def leaked_to(self, asker: Asker, response: schemathesis.Response) -> set[str]:
        """Return the canaries in an answer that this asker may not see.

        Requests may have shared, moved or transferred things, so what the database says now counts.
        """
        shown = str(dict(response.headers)) + response.content.decode("utf-8", errors="replace")
        found = {value for value in self.canaries if value in shown}
        if not found:
            return found
        visible = self._galleries_seen_by(asker)
        return {value for value in found if not self._holders_of(value) & visible}

    def _search(self, gallery: str, gallery_id: str) -> str:
        """Start a search in a gallery as its owner; return its ticket."""
        answer = requests.post(
            f"{self.service.url}/api/v1/galleries/{gallery_id}/searches",
            headers=bearer(self._planted["keys"][GALLERIES[gallery]]["search"]),
            files={"image": pictures.edited_portrait()},
            timeout=60,
        )
        ticket: str = answer.json()["ticket"]
        return ticket

    def _galleries_seen_by(self, asker: Asker) -> set[str]:
        if asker.user is None:
            return set()
        user = self._planted["users"][asker.user]
        owned_or_shared = self._ask(
            "SELECT id FROM gallery_gallery WHERE owner_id = ?1 "
            "UNION SELECT gallery_id FROM gallery_member WHERE user_id = ?1",
            user,
        )
        # Of a gallery that is deleted, whose it was hears that it is, and its jobs.
        gone = {self._gallery_id(name) for name, owner in GALLERIES.items() if owner == asker.user}
        owned_or_shared |= gone - self._ask("SELECT id FROM gallery_gallery")
        if asker.limit is None:
            return owned_or_shared
        return owned_or_shared & {self._gallery_id(name) for name in asker.limit}

    def _holders_of(self, value: str) -> set[str]:
        """Return the galleries that hold a canary now, and the one where it was planted."""
        held = self._ask(
            "SELECT gallery_id FROM gallery_photo WHERE id = ?1 OR filename = ?2 "
            "UNION SELECT gallery_id FROM people_person WHERE id = ?1 OR name = ?2 "
            "UNION SELECT photo.gallery_id FROM gallery_face face JOIN gallery_photo photo ON photo.id = face.photo_id "
            "WHERE face.id = ?1",
            value.replace("-", ""),
            value,
        )
        return held or {self._gallery_id(self.canaries[value])}

    def _gallery_id(self, name: str) -> str:
        """Return the planted gallery's id as the database writes it."""
        (gallery_id,) = self._planted["galleries"][name]["gallery_id"]
        return str(gallery_id).replace("-", "")

    def _ask(self, query: str, *values: object) -> set[str]:
        with closing(sqlite3.connect(self.service.folder / "db.sqlite3", timeout=20)) as connection:
            return {row[0] for row in connection.execute(query, values)}

    def _askers(self) -> list[Asker]:
        """From those who may do least to those who may do most: what is deleted is then seen by all before."""
        keys = self._planted["keys"]
        askers = [
            Asker(label="nobody", user=None, headers={}, scopes=frozenset()),
            Asker(label="unknown key", user=None, headers=bearer("fq_" + "a" * 32), scopes=frozenset()),
        ]
        for user, level in LEVELS.items():
            for number, (scope, token) in enumerate(keys[user].items()):
                if scope == "limited":
                    continue
                headers = bearer(token) if number % 2 else {"X-Api-Key": token}
                askers.append(
                    Asker(label=f"{level} with scope {scope}", user=user, headers=headers, scopes=frozenset([scope]))
                )
        everything = frozenset(["read", "write", "search", "admin"])
        limited = Asker(
            label="owner with a limited key",
            user="ada",
            headers=bearer(keys["ada"]["limited"]),
            scopes=everything,
            limit=frozenset(["shared"]),
        )
        cookies = f"sessionid={self._planted['session']}; csrftoken={CSRF}"
        session = Asker(
            label="owner's session", user="ada", headers={"Cookie": cookies, "X-CSRFToken": CSRF}, scopes=everything
        )
        staff = [
            Asker(label=f"{name} with scope {scope}", user=name, headers=bearer(token), scopes=frozenset([scope]))
            for name in ("staff", "operator")
            for scope, token in keys[name].items()
        ]
        return [*askers, limited, session, *staff]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
