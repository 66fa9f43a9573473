"""API keys: making, using and revoking them."""

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from tasks import clock
from webapp.accounts import keys
from webapp.accounts.callers import Scope
from webapp.accounts.keys import caller_of_key, key_create, key_revoke
from webapp.accounts.models import ApiKey, AuditEntry
from webapp.gallery.access import visible_galleries
from webapp.gallery.models import Gallery
from webapp.http.problems import Problem


@pytest.fixture(autouse=True)
def nothing_is_noted_yet() -> None:
    keys._noted.clear()


def code_of(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Problem) as refused:
        call(*args, **named)
    return refused.value.code


def test_a_key_has_a_prefix_and_160_random_bits_of_which_only_a_hash_is_stored(user: User) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    assert re.fullmatch(r"fq_[a-z2-7]{32}", token)
    assert key_create(user=user, name="backup", scopes=[Scope.READ])[1] != token
    stored = " ".join(str(value) for value in ApiKey.objects.filter(pk=key.pk).values().get().values())
    assert token not in stored
    assert token[:9] in stored, "its first letters tell keys apart"


def test_a_key_acts_for_its_user_within_its_scopes(user: User) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ, Scope.SEARCH])
    caller = caller_of_key(token)
    assert (caller.user, caller.scopes, caller.gallery_ids) == (user, {Scope.READ, Scope.SEARCH}, None)
    assert caller.key_id == key.pk


@pytest.mark.parametrize("token", ["", "fq_", "fq_" + "a" * 32, "fq_" + "A" * 32, "x" * 5000, "fq_\udcff", "fq_\n"])
def test_what_is_no_key_lets_nobody_in(user: User, token: str) -> None:
    assert code_of(caller_of_key, token) == "bad_key"


def test_what_cannot_be_a_key_costs_no_query(user: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert code_of(caller_of_key, "hunter2") == "bad_key"


def test_a_revoked_key_lets_nobody_in(user: User) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    caller_of_key(token)
    key_revoke(key=key, actor="ada")
    assert code_of(caller_of_key, token) == "bad_key"


def test_an_expired_key_lets_nobody_in(user: User) -> None:
    key, token = key_create(
        user=user, name="backup", scopes=[Scope.READ], expires_at=clock.utcnow() + timedelta(seconds=60)
    )
    caller_of_key(token)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=clock.utcnow())
    assert code_of(caller_of_key, token) == "bad_key"


def test_the_key_of_a_user_who_may_no_longer_log_in_lets_nobody_in(user: User) -> None:
    _, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    user.is_active = False
    user.save()
    assert code_of(caller_of_key, token) == "bad_key"


def test_a_caller_whose_key_is_revoked_or_expires_meanwhile_sees_nothing_any_more(user: User, gallery: Gallery) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    caller = caller_of_key(token)
    assert list(visible_galleries(caller)) == [gallery]
    ApiKey.objects.filter(pk=key.pk).update(expires_at=clock.utcnow())
    assert not visible_galleries(caller)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=None)
    assert visible_galleries(caller)
    key_revoke(key=key, actor="ada")
    assert not visible_galleries(caller)


def test_a_limited_key_sees_its_galleries_only_and_none_once_they_are_gone(user: User, gallery: Gallery) -> None:
    other = Gallery.objects.create(owner=user, name="Work")
    _, token = key_create(user=user, name="backup", scopes=[Scope.READ], galleries=[gallery])
    assert list(visible_galleries(caller_of_key(token))) == [gallery]
    gallery.delete()
    assert not visible_galleries(caller_of_key(token))
    assert Gallery.objects.filter(pk=other.pk).exists()


@pytest.mark.parametrize(("is_limited", "queries"), [(False, 1), (True, 2)])
def test_showing_a_key_costs_one_query_and_no_password_hash(
    user: User, gallery: Gallery, is_limited: bool, queries: int, django_assert_num_queries: Any
) -> None:
    _, token = key_create(user=user, name="backup", scopes=[Scope.READ], galleries=[gallery] if is_limited else None)
    caller_of_key(token)  # notes its use
    with django_assert_num_queries(queries):
        caller_of_key(token)


# -- last used ---------------------------------------------------------------------------------------------------------


def test_the_last_use_is_noted_at_most_once_a_minute(user: User) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    assert key.last_used_at is None
    caller_of_key(token)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    keys._noted.clear()  # as in another process
    caller_of_key(token)
    key.refresh_from_db()
    assert key.last_used_at == first
    long_ago = clock.utcnow() - timedelta(seconds=keys.NOTED_SECONDS + 1)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=long_ago)
    keys._noted.clear()
    caller_of_key(token)
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at > first


def test_one_request_tries_to_note_the_use_while_others_go_on(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    caller_of_key(token)
    ApiKey.objects.update(last_used_at=None)  # as if that write were still waiting

    def never(*_: Any, **__: Any) -> int:
        raise AssertionError("a second write within a minute")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", never)
    caller_of_key(token)


def test_a_database_that_takes_no_writes_still_lets_keys_in(
    user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, token = key_create(user=user, name="backup", scopes=[Scope.READ])

    def locked(*_: Any, **__: Any) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert caller_of_key(token).user == user
    assert "could not be noted" in caplog.text


# -- what may be made --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "code"),
    [
        pytest.param({"name": "  "}, "key_name", id="no name"),
        pytest.param({"name": "x" * 101}, "key_name", id="a long name"),
        pytest.param({"name": "\u202e"}, "key_name", id="a name that nobody sees"),
        pytest.param({"scopes": []}, "key_scopes", id="no scope"),
        pytest.param({"scopes": [Scope.ADMIN]}, "key_scopes", id="the scope of staff"),
        pytest.param({"galleries": []}, "key_galleries", id="limited to no gallery"),
        pytest.param({"expires_at": clock.utcnow()}, "key_expiry", id="expired at once"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(user: User, named: dict[str, Any], code: str) -> None:
    assert code_of(key_create, **{"user": user, "name": "backup", "scopes": [Scope.READ]} | named) == code
    assert not ApiKey.objects.exists()


def test_the_scope_of_staff_cannot_be_limited_to_galleries(admin_user: User, gallery: Gallery) -> None:
    assert code_of(key_create, user=admin_user, name="x", scopes=[Scope.ADMIN], galleries=[gallery]) == "key_scopes"
    key_create(user=admin_user, name="x", scopes=[Scope.ADMIN])


def test_who_may_not_log_in_gets_no_key(user: User) -> None:
    user.is_active = False
    assert code_of(key_create, user=user, name="backup", scopes=[Scope.READ]) == "user_inactive"


def test_a_user_has_only_so_many_keys(user: User, stranger: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_KEYS", 2)
    for _ in range(2):
        key, _ = key_create(user=user, name="backup", scopes=[Scope.READ])
    assert code_of(key_create, user=user, name="backup", scopes=[Scope.READ]) == "too_many_keys"
    key_create(user=stranger, name="backup", scopes=[Scope.READ])
    key_revoke(key=key, actor="ada")
    key_create(user=user, name="backup", scopes=[Scope.READ])


def test_making_and_revoking_a_key_leave_an_entry_in_the_audit_log(user: User, gallery: Gallery) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ], galleries=[gallery])
    caller_of_key(token)
    key_revoke(key=key, actor="root")
    key_revoke(key=key, actor="root")  # by two people at the same time
    revoked, made = AuditEntry.objects.all()
    assert (made.actor, made.action, made.subject) == ("ada", "key.create", f"backup ({token[:9]}…)")
    assert made.detail["galleries"] == [str(gallery.pk)]
    assert (revoked.actor, revoked.action, revoked.detail) == ("root", "key.revoke", {"user": "ada"})
    assert token not in str(made.detail)


def test_nothing_of_a_key_is_logged(user: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    caller_of_key(token)
    key_revoke(key=key, actor="ada")
    code_of(caller_of_key, token)
    assert token not in caplog.text
    assert key.digest not in caplog.text
