"""Making an account: off, by invitation, or open."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from tasks import clock
from webapp.accounts.models import SignUpInvitation
from webapp.accounts.own.sign_up import account_create, sign_up_invitation_create, sign_up_invitations_purge
from webapp.http.problems import Problem

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {"username": "bob", "password": "b-h7Yw2!", "again": "b-h7Yw2!"}


@pytest.fixture
def invited(turn_on: Any) -> None:
    turn_on(SIGN_UP="invited")


def test_nobody_can_sign_up_by_default(user: User, admin_client: Client) -> None:
    assert admin_client.get("/admin/accounts/signupinvitation/").status_code == 403
    assert "Make an account" not in Client().get("/login/").content.decode()
    assert Client().get("/sign-up/").status_code == 404
    assert Client().get("/sign-up/x/").status_code == 404
    with pytest.raises(CommandError, match="SIGN_UP"):
        call_command("invite_user")


def test_an_invitation_makes_one_account(invited: None) -> None:
    out = StringIO()
    call_command("invite_user", note="Bob", stdout=out)
    path = "/sign-up/" + out.getvalue().strip().partition("/sign-up/")[2]
    client = Client()
    assert client.get(path).status_code == 200
    assert client.post(path, FORM)["Location"] == "/"
    assert client.get("/account/").status_code == 200, "they are logged in"
    assert client.get(path)["Location"] == "/"

    late = Client()
    assert late.get(path).status_code == 404
    assert late.post(path, FORM | {"username": "carol"}).status_code == 404
    assert not User.objects.filter(username="carol").exists()
    assert Client().get("/sign-up/").status_code == 404


def test_who_signs_up_goes_on_to_the_page_they_came_for(invited: None) -> None:
    _, path = sign_up_invitation_create(actor="test")
    address = f"{path}?next=/invitations/abc/"
    client = Client()
    assert 'value="/invitations/abc/"' in client.get(address).content.decode()
    assert client.post(address, FORM | {"next": "/invitations/abc/"})["Location"] == "/invitations/abc/"
    _, path = sign_up_invitation_create(actor="test")
    assert Client().post(path, FORM | {"username": "eve", "next": "//example.org/"})["Location"] == "/"


def test_a_page_that_was_wanted_before_the_invitation_came_is_not_forgotten(invited: None) -> None:
    client = Client()
    page = client.get("/login/?next=/invitations/abc/")
    assert page.cookies["wanted"]["path"] == "/sign-up/"
    _, path = sign_up_invitation_create(actor="test")
    response = client.post(path, FORM)
    assert response["Location"] == "/invitations/abc/"
    assert response.cookies["wanted"].value == "", "once is enough"

    client = Client()
    client.cookies["wanted"] = "//example.org/"
    assert client.post(sign_up_invitation_create(actor="test")[1], FORM | {"username": "eve"})["Location"] == "/"


@pytest.mark.parametrize(
    ("form", "word"),
    [
        pytest.param({"username": "ada"}, "has that name", id="taken"),
        pytest.param({"username": "ADA"}, "has that name", id="taken in other letters"),
        pytest.param({"username": "a b"}, "valid username", id="a space"),
        pytest.param({"username": "x" * 151}, "at most 150", id="long"),
        pytest.param({"username": ""}, "required", id="none"),
        pytest.param({"password": "password1", "again": "password1"}, "too common", id="a common password"),
    ],
)
def test_what_cannot_be_an_account_is_refused_and_the_invitation_stays(
    user: User, invited: None, form: dict[str, str], word: str
) -> None:
    _, path = sign_up_invitation_create(actor="test")
    response = Client().post(path, FORM | form)
    assert word in response.content.decode()
    assert Client().post(path, FORM).status_code == 302


def test_a_revoked_or_expired_invitation_does_not_work(invited: None) -> None:
    invitation, path = sign_up_invitation_create(actor="test")
    SignUpInvitation.objects.update(expires_at=clock.utcnow() - timedelta(seconds=1))
    assert Client().get(path).status_code == 404
    sign_up_invitations_purge()
    assert not SignUpInvitation.objects.filter(pk=invitation.pk).exists()
    living, path = sign_up_invitation_create(actor="test")
    sign_up_invitations_purge()
    assert Client().get(path).status_code == 200
    living.delete()
    assert Client().get(path).status_code == 404


def test_an_invitation_works_for_one_of_two_who_use_it_at_once(invited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp.accounts.own import sign_up

    invitation, path = sign_up_invitation_create(actor="test")
    token = path.split("/")[-2]
    account_create(username="bob", encoded="!", token=token)
    # The other had found the invitation just before.
    monkeypatch.setattr(sign_up, "sign_up_invitation_of", lambda _: invitation)
    with pytest.raises(Problem) as raised:
        account_create(username="carol", encoded="!", token=token)
    assert raised.value.code == "bad_invitation"
    assert not User.objects.filter(username="carol").exists()


def test_anybody_can_sign_up_where_it_is_open(turn_on: Any) -> None:
    turn_on(SIGN_UP="open")
    page = Client().get("/login/?next=/jobs/").content.decode()
    assert 'href="/sign-up/?next=%2Fjobs%2F"' in page
    assert Client().post("/sign-up/", FORM)["Location"] == "/"
    assert User.objects.get().check_password(FORM["password"])


def test_staff_see_an_invitations_link_once(user: User, invited: None) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    response = client.post("/admin/accounts/signupinvitation/add/", {"note": "Bob"}, follow=True)
    link = response.content.decode().partition("/sign-up/")[2].partition("/")[0]
    assert Client().get(f"/sign-up/{link}/").status_code == 200
    assert link not in client.get("/admin/accounts/signupinvitation/").content.decode()
