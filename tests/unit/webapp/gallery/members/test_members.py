"""Members: what each level may do, and from when on; how a gallery changes its owner."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.unit.webapp.conftest import add_indexed_photo, add_photo
from webapp.accounts.callers import Caller
from webapp.accounts.models import AuditEntry
from webapp.gallery import quotas, services
from webapp.gallery.access import check_download, level_of, levels_of, visible_galleries
from webapp.gallery.members.invitations import invitation_create
from webapp.gallery.members.services import (
    gallery_leave,
    gallery_open,
    gallery_take_over,
    gallery_transfer,
    member_level_set,
    member_remove,
)
from webapp.gallery.models import Gallery, Invitation, Level, Member
from webapp.gallery.selectors import gallery_for, photo_for
from webapp.http.problems import Problem
from webapp.indexing import deleting
from webapp.jobs.selectors import jobs_for


def code_of(action: Callable[[], Any]) -> str:
    with pytest.raises(Problem) as refused:
        action()
    return refused.value.code


def caller(member: Member) -> Caller:
    return Caller(user=member.user)


# -- levels -------------------------------------------------------------------------------------------------


def test_a_viewer_sees_and_may_change_nothing(gallery: Gallery, viewer: Member) -> None:
    photo = add_photo(gallery)
    assert photo_for(caller(viewer), photo.id) == photo
    assert code_of(lambda: photo_for(caller(viewer), photo.id, Level.EDITOR)) == "level_too_low"
    assert not jobs_for(caller(viewer))


def test_an_editor_may_change_photos_and_not_the_gallery(gallery: Gallery, editor: Member) -> None:
    photo = add_photo(gallery)
    assert photo_for(caller(editor), photo.id, Level.EDITOR) == photo
    assert code_of(lambda: gallery_for(caller(editor), gallery.id, Level.OWNER)) == "level_too_low"
    assert jobs_for(caller(editor)).get().gallery == gallery


def test_a_level_that_is_changed_counts_at_once(gallery: Gallery, editor: Member) -> None:
    member_level_set(member=editor, level=Level.VIEWER)
    assert code_of(lambda: gallery_for(caller(editor), gallery.id, Level.EDITOR)) == "level_too_low"
    member_level_set(member=editor, level=Level.EDITOR)
    assert gallery_for(caller(editor), gallery.id, Level.EDITOR) == gallery


def test_nobody_is_made_an_owner_by_a_level(editor: Member) -> None:
    with pytest.raises(ValueError, match="owner"):
        member_level_set(member=editor, level=Level.OWNER)


@pytest.mark.parametrize("how", ["removed", "left"])
def test_who_is_no_member_any_more_sees_nothing(gallery: Gallery, viewer: Member, how: str) -> None:
    if how == "removed":
        member_remove(member=viewer)
    else:
        gallery_leave(gallery=gallery, caller=caller(viewer))
    assert code_of(lambda: gallery_for(caller(viewer), gallery.id)) == "not_found"
    assert code_of(lambda: member_level_set(member=viewer, level=Level.EDITOR)) == "not_found"


def test_an_owner_cannot_leave(gallery: Gallery, user: User) -> None:
    assert code_of(lambda: gallery_leave(gallery=gallery, caller=Caller(user=user))) == "owner_cannot_leave"


def test_levels_are_read_in_one_query(
    gallery: Gallery, their_gallery: Gallery, user: User, viewer: Member, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert levels_of(Caller(user=user), [gallery, their_gallery]) == {gallery.id: Level.OWNER}
    assert levels_of(caller(viewer), [gallery, their_gallery]) == {gallery.id: Level.VIEWER}


def test_a_key_reaches_no_further_than_its_galleries_among_those_shared_too(
    gallery: Gallery, their_gallery: Gallery, viewer: Member
) -> None:
    key = Caller(user=viewer.user, gallery_ids=frozenset({their_gallery.id}))
    assert not visible_galleries(key)
    key = Caller(user=viewer.user, gallery_ids=frozenset({gallery.id}))
    assert visible_galleries(key).get() == gallery


def test_members_download_files_only_if_the_owner_allows_it(
    gallery: Gallery, user: User, viewer: Member, editor: Member
) -> None:
    check_download(Caller(user=user), gallery)
    for member in (viewer, editor):
        assert code_of(lambda: check_download(caller(member), gallery)) == "download_not_allowed"  # noqa: B023
    gallery.may_download = True
    for member in (viewer, editor):
        check_download(caller(member), gallery)


# -- another owner ------------------------------------------------------------------------------------------


def test_a_transfer_makes_the_member_the_owner_and_the_owner_an_editor(
    gallery: Gallery, user: User, viewer: Member
) -> None:
    add_photo(gallery)
    invitation_create(gallery=gallery, level=Level.EDITOR)
    gallery_transfer(gallery=gallery, to=viewer, actor="ada")
    gallery.refresh_from_db()
    assert gallery.owner == viewer.user
    assert level_of(Caller(user=user), gallery) == Level.EDITOR
    assert not Member.objects.filter(user=viewer.user).exists()
    assert not Invitation.objects.exists(), "the new owner decides who is invited"
    assert gallery.jobs.get().owner == viewer.user
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.detail) == ("ada", "gallery.transfer", {"from": "ada", "to": "vera"})


def test_whoever_was_the_owner_deletes_the_gallery_no_longer(gallery: Gallery, viewer: Member) -> None:
    as_it_was = Gallery.objects.get(id=gallery.id)
    gallery_transfer(gallery=gallery, to=viewer, actor="ada")
    assert code_of(lambda: deleting.gallery_delete(gallery=as_it_was)) == "not_found"
    assert not Gallery.objects.get().deleting


def test_what_a_gallery_takes_up_moves_to_the_new_owner(gallery: Gallery, user: User, viewer: Member) -> None:
    kept = services.gallery_create(owner=user, name="Kept")
    add_photo(kept, b"123")
    add_photo(gallery, b"12345")
    gone = add_indexed_photo(gallery, content=b"1234567")
    deleting.photos_delete(gallery=gallery, photo_ids=[gone.id])
    gallery_transfer(gallery=gallery, to=viewer, actor="ada")
    usages = [quotas.usage_of(each.pk) for each in (user, viewer.user)]
    assert [(usage.photos, usage.byte_size) for usage in usages] == [(1, 3), (2, 12)]
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[gone.id])
    quotas.usages_recount()
    assert [(usage.photos, usage.byte_size) for usage in map(_read_again, usages)] == [(1, 3), (1, 5)]


def _read_again(usage: Any) -> Any:
    usage.refresh_from_db()
    return usage


def test_photos_that_an_editor_is_adding_while_the_owner_changes_count_for_the_new_one(
    gallery: Gallery, user: User, viewer: Member
) -> None:
    read_before = Gallery.objects.get(id=gallery.id)
    gallery_transfer(gallery=gallery, to=viewer, actor="ada")
    add_photo(read_before, b"123")
    assert quotas.usage_of(viewer.user.pk).photos == 1
    assert quotas.usage_of(user.pk).photos == 0


@pytest.mark.parametrize(("setting", "code"), [("QUOTA_PHOTOS", "quota_photos"), ("QUOTA_BYTES", "quota_bytes")])
def test_a_gallery_that_is_too_large_for_the_member_stays(
    gallery: Gallery, user: User, viewer: Member, settings: Any, setting: str, code: str
) -> None:
    add_photo(gallery, b"1")
    add_photo(gallery, b"2")
    setattr(settings, setting, 1)
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == code
    _nothing_moved(gallery, user, viewer)


def test_a_member_with_as_many_galleries_as_allowed_gets_no_other(
    gallery: Gallery, user: User, viewer: Member, settings: Any
) -> None:
    services.gallery_create(owner=viewer.user, name="The only one")
    settings.QUOTA_GALLERIES = 1
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == "quota_galleries"
    _nothing_moved(gallery, user, viewer)


def test_a_member_with_a_gallery_of_that_name_gets_no_other(gallery: Gallery, user: User, viewer: Member) -> None:
    services.gallery_create(owner=viewer.user, name=gallery.name)
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == "gallery_exists"
    _nothing_moved(gallery, user, viewer)


def test_a_member_who_cannot_log_in_gets_no_gallery(gallery: Gallery, user: User, viewer: Member) -> None:
    User.objects.filter(id=viewer.user_id).update(is_active=False)
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == "user_inactive"
    _nothing_moved(gallery, user, viewer)


def test_a_gallery_that_is_being_deleted_is_not_transferred(gallery: Gallery, viewer: Member) -> None:
    add_photo(gallery)
    deleting.gallery_delete(gallery=gallery)
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == "not_found"


def test_somebody_who_left_meanwhile_gets_no_gallery(gallery: Gallery, user: User, viewer: Member) -> None:
    member_remove(member=Member.objects.get())
    assert code_of(lambda: gallery_transfer(gallery=gallery, to=viewer, actor="ada")) == "not_found"
    gallery.refresh_from_db()
    assert gallery.owner == user


def _nothing_moved(gallery: Gallery, user: User, viewer: Member) -> None:
    gallery.refresh_from_db()
    assert gallery.owner == user
    assert quotas.usage_of(user.pk).photos == gallery.photos.count()
    assert quotas.usage_of(viewer.user_id).photos == 0
    assert Member.objects.filter(id=viewer.id).exists()
    assert not AuditEntry.objects.exists()


# -- superusers ---------------------------------------------------------------------------------------------


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="r")


def test_a_superuser_sees_no_gallery_of_others(gallery: Gallery, root: User) -> None:
    assert code_of(lambda: gallery_for(Caller(user=root), gallery.id)) == "not_found"


def test_a_superuser_who_opens_a_gallery_is_a_viewer_and_in_the_audit_log(gallery: Gallery, root: User) -> None:
    assert gallery_open(gallery=gallery, user=root)
    assert level_of(Caller(user=root), gallery) == Level.VIEWER
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.detail) == ("root", "gallery.open", {"owner": "ada"})
    assert str(gallery.id) in entry.subject
    assert not gallery_open(gallery=gallery, user=root), "it is open already"
    assert AuditEntry.objects.count() == 1


def test_a_superuser_who_takes_a_gallery_over_owns_it_and_is_in_the_audit_log(
    gallery: Gallery, user: User, root: User
) -> None:
    add_photo(gallery, b"123")
    gallery_open(gallery=gallery, user=root)
    gallery_take_over(gallery=gallery, user=root)
    gallery.refresh_from_db()
    assert gallery.owner == root
    assert quotas.usage_of(root.pk).byte_size == 3
    assert level_of(Caller(user=user), gallery) == Level.EDITOR
    entry = AuditEntry.objects.get(action="gallery.take_over")
    assert (entry.actor, entry.detail) == ("root", {"from": "ada", "to": "root"})


def test_the_admin_opens_and_takes_over_galleries_for_superusers_only(gallery: Gallery, root: User) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="gallery"))
    address, chosen = "/admin/gallery/gallery/", {"_selected_action": str(gallery.id)}
    page = Client()
    page.force_login(staff)
    for action in ("open", "take_over"):
        page.post(address, chosen | {"action": action})
    assert not AuditEntry.objects.exists()
    page.force_login(root)
    assert "Friends is opened." in page.post(address, chosen | {"action": "open"}, follow=True).content.decode()
    assert page.get(f"/galleries/{gallery.id}/").status_code == 200
    assert "is taken over." in page.post(address, chosen | {"action": "take_over"}, follow=True).content.decode()
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["gallery.open", "gallery.take_over"]


def test_the_admin_changes_no_gallery(gallery: Gallery, user: User, root: User) -> None:
    page = Client()
    page.force_login(root)
    assert page.get(f"/admin/gallery/gallery/{gallery.id}/change/").status_code == 200
    form = {"name": gallery.name, "owner": root.pk}
    assert page.post(f"/admin/gallery/gallery/{gallery.id}/change/", form).status_code == 403
    assert page.post("/admin/gallery/gallery/add/", form).status_code == 403
    gallery.refresh_from_db()
    assert gallery.owner == user


def test_the_admin_says_why_a_gallery_is_not_taken_over(gallery: Gallery, user: User, root: User) -> None:
    services.gallery_create(owner=root, name=gallery.name)
    page = Client()
    page.force_login(root)
    form = {"_selected_action": str(gallery.id), "action": "take_over"}
    shown = page.post("/admin/gallery/gallery/", form, follow=True).content.decode()
    assert "root already has a gallery of this name" in shown
    gallery.refresh_from_db()
    assert gallery.owner == user
