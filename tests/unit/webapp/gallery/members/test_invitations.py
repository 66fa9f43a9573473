"""Invitations: who may use which link, how often and how long, and what becomes of whoever accepts."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection

from webapp.accounts.callers import Caller
from webapp.gallery.access import level_of
from webapp.gallery.members import invitations
from webapp.gallery.members.invitations import invitation_accept, invitation_create, invitation_of
from webapp.gallery.members.selectors import invitations_of
from webapp.gallery.members.services import member_remove
from webapp.gallery.models import Gallery, Invitation, Level, Member
from webapp.http.problems import Problem
from webapp.http.request_ids import LONGEST_SHOWN
from webapp.indexing import deleting


def accept(token: str, user: User) -> Level:
    caller = Caller(user=user)
    return level_of(caller, invitation_accept(caller=caller, token=token))


def refusal(token: str, user: User) -> str:
    with pytest.raises(Problem) as refused:
        accept(token, user)
    return refused.value.code


@pytest.mark.parametrize("level", [Level.VIEWER, Level.EDITOR])
def test_whoever_accepts_is_a_member_at_the_level_of_the_invitation(
    gallery: Gallery, stranger: User, level: Level
) -> None:
    _, token = invitation_create(gallery=gallery, level=level)
    assert accept(token, stranger) == level


def test_the_token_is_kept_as_a_hash_only(gallery: Gallery) -> None:
    invitation, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    row = Invitation.objects.filter(id=invitation.id).values().get()
    assert len(token) > LONGEST_SHOWN, "log lines cut so long a part of an address"
    assert token not in str(row)


def test_nobody_is_invited_as_owner(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="owner"):
        invitation_create(gallery=gallery, level=Level.OWNER)


def test_an_invitation_admits_as_many_people_as_it_says(gallery: Gallery, stranger: User) -> None:
    _, token = invitation_create(gallery=gallery, level=Level.VIEWER, places=2)
    assert accept(token, stranger) == Level.VIEWER
    assert accept(token, stranger) == Level.VIEWER, "whoever is a member takes no second place"
    assert accept(token, User.objects.create_user("vera")) == Level.VIEWER
    assert refusal(token, User.objects.create_user("late")) == "not_found"


def test_a_member_who_was_removed_needs_another_invitation(gallery: Gallery, stranger: User) -> None:
    _, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    accept(token, stranger)
    member_remove(member=Member.objects.get())
    assert refusal(token, stranger) == "not_found"


def test_an_invitation_raises_a_level_and_lowers_none(gallery: Gallery, stranger: User) -> None:
    _, as_viewer = invitation_create(gallery=gallery, level=Level.VIEWER, places=5)
    _, as_editor = invitation_create(gallery=gallery, level=Level.EDITOR, places=5)
    assert [accept(token, stranger) for token in (as_viewer, as_editor, as_viewer)] == [
        Level.VIEWER,
        Level.EDITOR,
        Level.EDITOR,
    ]
    assert [row.places for row in invitations_of(gallery)] == [4, 4]


def test_an_owner_who_opens_an_invitation_of_their_own_stays_the_owner(gallery: Gallery, user: User) -> None:
    invitation, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    assert accept(token, user) == Level.OWNER
    invitation.refresh_from_db()
    assert (invitation.places, Member.objects.count()) == (1, 0)


@pytest.mark.parametrize("how", ["expired", "revoked", "deleted gallery", "unknown", "empty"])
def test_what_is_no_invitation_any_more_is_not_found(gallery: Gallery, stranger: User, how: str) -> None:
    invitation, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    match how:
        case "expired":
            Invitation.objects.update(expires_at=invitation.created - timedelta(seconds=1))
        case "revoked":
            invitations.invitation_revoke(invitation=invitation)
        case "deleted gallery":
            deleting.gallery_delete(gallery=gallery)
        case "unknown":
            token = token[::-1]
        case "empty":
            token = ""
    assert refusal(token, stranger) == "not_found"
    with pytest.raises(Problem):
        invitation_of(token)
    assert not Member.objects.exists()


def test_a_key_that_is_limited_to_galleries_accepts_no_invitation(gallery: Gallery, stranger: User) -> None:
    _, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    with pytest.raises(Problem) as refused:
        invitation_accept(caller=Caller(user=stranger, gallery_ids=frozenset({gallery.id})), token=token)
    assert refused.value.status == 403
    assert not Member.objects.exists()


def test_a_gallery_has_a_bounded_number_of_invitations_and_expired_ones_do_not_count(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MOST_INVITATIONS", 2)
    first, _ = invitation_create(gallery=gallery, level=Level.VIEWER)
    invitation_create(gallery=gallery, level=Level.VIEWER)
    with pytest.raises(Problem) as refused:
        invitation_create(gallery=gallery, level=Level.VIEWER)
    assert refused.value.code == "too_many_invitations"
    Invitation.objects.filter(id=first.id).update(expires_at=first.created)
    invitation_create(gallery=gallery, level=Level.VIEWER)
    assert not Invitation.objects.filter(id=first.id).exists()


@pytest.mark.django_db(transaction=True)
def test_people_who_accept_at_the_same_time_get_no_more_places_than_there_are(gallery: Gallery) -> None:
    _, token = invitation_create(gallery=gallery, level=Level.VIEWER, places=2)
    results: list[str] = []

    def try_it(user: User) -> None:
        try:
            invitation_accept(caller=Caller(user=user), token=token)
            results.append("member")
        except Problem as problem:
            results.append(problem.code)
        finally:
            connection.close()

    users = [User.objects.create_user(f"guest{number}") for number in range(5)]
    threads = [threading.Thread(target=try_it, args=(each,)) for each in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["member"] * 2 + ["not_found"] * 3
    assert Member.objects.count() == 2
