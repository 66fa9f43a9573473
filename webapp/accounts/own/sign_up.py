"""Making an account: by an invitation, or by anybody, as SIGN_UP says."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.urls import reverse

from tasks import clock
from webapp.accounts.audit import audit
from webapp.accounts.models import SignUpInvitation
from webapp.accounts.tokens import digest_of, link_token
from webapp.http.problems import Problem

#: How long an invitation can be used.
LIFE: Final = timedelta(days=7)


def sign_up_invitation_create(*, actor: str, note: str = "") -> tuple[SignUpInvitation, str]:
    """Make an invitation; return it and the path of its link, which nobody can read again.

    Raises Problem when the settings let nobody make an account. `actor` is who invites.
    """
    if settings.SIGN_UP == "closed":
        raise Problem("sign_up_closed", "Nobody can make an account here while SIGN_UP is closed.", status=409)
    token = link_token()
    with transaction.atomic():
        invitation = SignUpInvitation.objects.create(
            digest=digest_of(token),
            note=note[: SignUpInvitation._meta.get_field("note").max_length],
            expires_at=clock.utcnow() + LIFE,
        )
        audit(actor=actor, action="account.invite", subject=f"invitation {invitation.pk}")
    return invitation, reverse("sign_up_invited", args=[token])


def sign_up_invitation_of(token: str) -> SignUpInvitation:
    """Return the invitation. Raises Problem (`bad_invitation`) if it is unknown, used, revoked or expired."""
    found = SignUpInvitation.objects.filter(digest=digest_of(token), expires_at__gt=clock.utcnow()).first()
    if found is None:
        raise _bad_invitation()
    return found


def account_create(*, username: str, encoded: str, email: str = "", token: str | None) -> User:
    """Make an account, using the invitation up if there is one. `encoded` is the hashed password.

    Raises Problem (`username_taken`, `bad_invitation`).
    """
    try:
        with transaction.atomic():
            if token is not None:
                _use_up(token)
            if User.objects.filter(username__iexact=username).exists():
                raise _taken()
            user = User(username=username, password=encoded, email=email)
            user.save(force_insert=True)
            audit(actor=username, action="account.create", subject=f"user {user.pk}")
    except IntegrityError:
        raise _taken() from None
    return user


def _use_up(token: str) -> None:
    """Delete the invitation, in the caller's transaction. Of two who use it at the same time, one gets a Problem."""
    if not SignUpInvitation.objects.filter(pk=sign_up_invitation_of(token).pk).delete()[0]:
        raise _bad_invitation()


def sign_up_invitations_purge() -> None:
    """Delete the invitations that have expired."""
    SignUpInvitation.objects.filter(expires_at__lt=clock.utcnow()).delete()


def _bad_invitation() -> Problem:
    return Problem("bad_invitation", "This invitation was used, was revoked or has expired.", status=404)


def _taken() -> Problem:
    return Problem("username_taken", "Somebody has that name already; please choose another.", status=409)
