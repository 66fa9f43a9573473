"""Changing passwords, and links that set one: sent by e-mail, or made by an operator for somebody who forgot theirs."""

import logging
from datetime import datetime
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from tasks import clock
from webapp.accounts.audit import audit
from webapp.accounts.own.links import absolute
from webapp.accounts.sessions import sessions_end
from webapp.http.problems import Problem

logger = logging.getLogger(__name__)


class LinkTokens(PasswordResetTokenGenerator):
    """Django's, by the shared clock. A token works until it expires, the password changes or its user logs in."""

    key_salt = "webapp.accounts.own.passwords"

    def _now(self) -> datetime:
        return clock.utcnow().replace(tzinfo=None)


_tokens: Final = LinkTokens()


def password_change(*, user: User, encoded: str, keep_session: str | None = None) -> None:
    """Set the password, which is hashed already, and end the user's sessions except the one with this key."""
    with transaction.atomic():
        user.password = encoded
        user.save(update_fields=["password"])
        sessions_end(user_id=user.pk, but=keep_session)
        audit(actor=user.get_username(), action="password.change", subject=f"user {user.pk}")


def password_link(*, user: User, actor: str) -> str:
    """Return the path of a page where whoever has it sets the user's password. `actor` is who makes it.

    Raises Problem if the user may not log in.
    """
    if not user.is_active:
        raise Problem("user_inactive", f"The account of {user.get_username()} is not active.", status=409)
    audit(actor=actor, action="password.link", subject=f"user {user.pk}")
    return _link(user)


def user_of_link(user_code: str, token: str) -> User | None:
    """Return the user whose password the link sets; None if it does not work (any more)."""
    try:
        user_id = int(urlsafe_base64_decode(user_code).decode())
    except ValueError:
        return None
    user = User.objects.filter(pk=user_id, is_active=True).first() if user_id < 2**63 else None
    return user if user is not None and _tokens.check_token(user, token) else None


def password_links_send(*, email: str) -> None:
    """Send a link to each user with this e-mail address. Never raises: nobody waits for it, and nobody may learn of it.

    A user without a usable password, who logs in with OpenID Connect, gets one too: who reads their e-mail may.
    """
    for user in User.objects.filter(email__iexact=email, is_active=True).exclude(email=""):
        text = (
            f"Somebody, probably you, wants to set a new password for “{user.get_username()}”.\n\n"
            f"This link does it, within a day:\n{absolute(_link(user))}\n\n"
            "If it was not you, nothing needs to be done.\n"
        )
        try:
            send_mail("Set a new password", text, settings.DEFAULT_FROM_EMAIL, [user.email])
        except OSError as error:  # smtplib's errors are OSErrors
            logger.error("The mail server does not take messages: %s", error)


def email_change(*, user: User, email: str) -> None:
    """Set the address that links go to. Links that were sent to the one before stop working."""
    with transaction.atomic():
        user.email = email
        user.save(update_fields=["email"])
        audit(actor=user.get_username(), action="email.change", subject=f"user {user.pk}")


def _link(user: User) -> str:
    return reverse("password_set", args=[urlsafe_base64_encode(force_bytes(user.pk)), _tokens.make_token(user)])
