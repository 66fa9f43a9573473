"""The pages of members and invitations, and what the pages of a shared gallery show to whom."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, add_photo, failed, record, upload
from webapp.gallery.members.invitations import invitation_create
from webapp.gallery.members.services import member_level_set
from webapp.gallery.models import Gallery, Invitation, Level, Member


def page_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner(user: User) -> Client:
    return page_of(user)


def text(response: Any) -> str:
    return response.content.decode()


def link_in(response: Any) -> str:
    found = re.search(r'value="http://testserver(/invitations/[^"/]+/)"', text(response))
    assert found is not None
    return found[1]


def accept(page: Client, link: str) -> Any:
    return page.post("/invitations/accept/", {"token": link.split("/")[2]}, follow=True)


def test_an_invitation_is_shown_before_it_is_accepted(owner: Client, gallery: Gallery, stranger: User) -> None:
    made = owner.post(
        f"/galleries/{gallery.id}/invitations/", {"level": "editor", "places": "3", "expires_in_days": "2"}
    )
    link = link_in(made)
    assert "becomes an editor: 3 people" in text(made)
    assert link not in text(owner.get(f"/galleries/{gallery.id}/members/")), "the link is shown once"
    page = page_of(stranger)
    shown = text(page.get(link))
    assert "ada invites you to “Friends”" in shown
    assert "<strong>editor</strong>" in shown
    assert not Member.objects.exists()
    assert "is shared with you" in text(accept(page, link))
    assert Member.objects.get(user=stranger).level == Level.EDITOR


def test_whoever_is_not_logged_in_comes_back_to_the_invitation(gallery: Gallery, stranger: User) -> None:
    _, token = invitation_create(gallery=gallery, level=Level.VIEWER)
    client = Client()
    asked = client.get(f"/invitations/{token}/")
    assert (asked.status_code, asked["Location"]) == (302, f"/login/?next=/invitations/{token}/")
    form = {"username": "eve", "password": "eve", "next": f"/invitations/{token}/"}
    assert client.post("/login/", form)["Location"] == f"/invitations/{token}/"
    assert "invites you" in text(client.get(f"/invitations/{token}/"))


def test_a_revoked_invitation_leads_nowhere(owner: Client, gallery: Gallery, stranger: User) -> None:
    link = link_in(owner.post(f"/galleries/{gallery.id}/invitations/", {"level": "viewer"}))
    invitation = Invitation.objects.get()
    assert "is revoked" in text(owner.post(f"/galleries/{gallery.id}/invitations/{invitation.id}/revoke/", follow=True))
    page = page_of(stranger)
    assert page.get(link).status_code == 404
    refused = accept(page, link)
    assert refused.status_code == 404
    assert gallery.name not in text(refused)


@pytest.mark.parametrize(
    "form",
    [
        {"level": "owner"},
        {"level": "3"},
        {"places": "0"},
        {"places": "101"},
        {"places": "many"},
        {"expires_in_days": "91"},
        {"expires_in_days": "-1"},
    ],
    ids=str,
)
def test_an_invitation_that_cannot_be_made_is_refused(owner: Client, gallery: Gallery, form: dict[str, str]) -> None:
    assert owner.post(f"/galleries/{gallery.id}/invitations/", form).status_code == 400
    assert not Invitation.objects.exists()


def test_the_owner_changes_and_removes_members(owner: Client, gallery: Gallery, viewer: Member) -> None:
    address = f"/galleries/{gallery.id}/members/{viewer.id}/"
    assert "vera is an editor now." in text(owner.post(address, {"level": "editor"}, follow=True))
    assert owner.post(address, {"level": "owner"}).status_code == 400
    viewer.refresh_from_db()
    assert viewer.level == Level.EDITOR
    assert "vera is no longer a member." in text(owner.post(address + "remove/", follow=True))
    assert page_of(viewer.user).get(f"/galleries/{gallery.id}/").status_code == 404


def test_a_member_sees_the_others_and_leaves(gallery: Gallery, viewer: Member, editor: Member) -> None:
    page = page_of(viewer.user)
    shown = text(page.get(f"/galleries/{gallery.id}/members/"))
    assert all(name in shown for name in ("ada", "vera", "eddy"))
    assert "Remove" not in shown
    assert "Invite" not in shown
    assert "You have left" in text(page.post(f"/galleries/{gallery.id}/leave/", follow=True))
    assert page.get(f"/galleries/{gallery.id}/members/").status_code == 404


def test_a_transfer_asks_first_and_says_why_it_is_not_possible(
    owner: Client, gallery: Gallery, viewer: Member, settings: Any
) -> None:
    address = f"/galleries/{gallery.id}/transfer/"
    assert "vera" in text(owner.get(address))
    add_photo(gallery, b"12")
    settings.QUOTA_BYTES = 1
    refused = owner.post(address, {"member_id": str(viewer.id)})
    assert (refused.status_code, "vera has no room" in text(refused)) == (409, True)
    settings.QUOTA_BYTES = 0
    assert "belongs to vera now" in text(owner.post(address, {"member_id": str(viewer.id)}, follow=True))
    assert owner.get(address).status_code == 403


# -- what the pages of a gallery show ----------------------------------------------------------------------

#: What only editors, and only the owner, are shown, on the pages that have it.
FOR_EDITORS = {"gallery": ["Add photos", "Retry failed photos"], "photo": ["Name of face 1", "Delete this photo"]}
FOR_OWNER = {"gallery": ["Delete this gallery"]}


@pytest.mark.parametrize("level", [Level.VIEWER, Level.EDITOR, Level.OWNER])
def test_pages_show_what_the_level_allows(gallery: Gallery, user: User, viewer: Member, level: Level) -> None:
    photo = add_indexed_photo(gallery)
    record(gallery, failed(add_photo(gallery, b"other"), code="gave_up"))
    if level < Level.OWNER:
        member_level_set(member=viewer, level=level)
    page = page_of(user if level == Level.OWNER else viewer.user)
    shown = {
        "gallery": text(page.get(f"/galleries/{gallery.id}/")) + text(page.get(f"/galleries/{gallery.id}/grid/")),
        "photo": text(page.get(f"/photos/{photo.id}/")),
    }
    for which, phrases in FOR_EDITORS.items():
        for phrase in phrases:
            assert (phrase in shown[which]) == level.may_edit, phrase
    for which, phrases in FOR_OWNER.items():
        for phrase in phrases:
            assert (phrase in shown[which]) == level.is_owner, phrase


def test_a_shared_gallery_says_whose_it_is_wherever_it_shows(
    gallery: Gallery, user: User, editor: Member, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    job = gallery.jobs.get()
    addresses = [
        "/",
        f"/galleries/{gallery.id}/",
        f"/galleries/{gallery.id}/search/",
        f"/photos/{photo.id}/",
        "/jobs/",
        f"/jobs/{job.id}/",
    ]
    member, owner = page_of(editor.user), page_of(user)

    def result_of(page: Client) -> str:
        return str(page.post(f"/galleries/{gallery.id}/search/", {"image": upload()})["Location"])

    for of_member, of_owner in [*zip(addresses, addresses, strict=True), (result_of(member), result_of(owner))]:
        assert re.search("[Ss]hared by ada", text(member.get(of_member))), of_member
        assert "hared by" not in text(owner.get(of_owner)), of_owner


def test_the_file_of_a_photo_is_downloaded_under_its_name_by_whoever_may(
    gallery: Gallery, user: User, viewer: Member
) -> None:
    photo = add_indexed_photo(gallery, content=b"the bytes", name="ada & babbage.jpg")
    address = f"/photos/{photo.id}/original/"
    owner, member = page_of(user), page_of(viewer.user)
    saved = owner.get(address)
    assert (saved.content, saved["Content-Disposition"]) == (b"the bytes", 'attachment; filename="ada & babbage.jpg"')
    assert member.get(address).status_code == 403
    assert "Download the original</a>" not in text(member.get(f"/photos/{photo.id}/"))
    assert member.get(f"/photos/{photo.id}/preview/{photo.renditions}.jpg").status_code == 200, "pages show it"
    shown = owner.post(f"/galleries/{gallery.id}/download/", {"is_allowed": "1"}, follow=True)
    assert "Members may download" in text(shown)
    assert member.get(address).content == b"the bytes"
    assert "Download the original</a>" in text(member.get(f"/photos/{photo.id}/"))
    assert "Members may not download" in text(owner.post(f"/galleries/{gallery.id}/download/", follow=True))
    assert member.get(address).status_code == 403
