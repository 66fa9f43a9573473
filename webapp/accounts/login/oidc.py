"""Log-in with OpenID Connect. allauth talks to the provider; who may log in, and how, is decided here.

The account at the provider is linked to a user by the provider's address and its own id for the account (`sub`), never
by name or e-mail address: these may be taken over by somebody else there.
"""

import hashlib
import logging
from typing import Any, Final

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.utils import generate_unique_username
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect

from tasks import clock
from webapp.accounts.audit import audit
from webapp.accounts.login.destinations import destination_of, is_ours
from webapp.http.problems import Problem

logger = logging.getLogger(__name__)

#: Key in the session of a user who has confirmed that they want to link their account: until when.
LINKING_UNTIL: Final = "oidc_linking_until"


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Ends allauth's part once the provider has said who it is."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Return allauth's provider, whose accounts are those of its address: at another one, 17 is somebody else."""
        found = super().get_provider(request, provider, client_id=client_id)
        sub_of = found.extract_uid
        found.extract_uid = lambda data: hashlib.sha256(f"{settings.OIDC_ISSUER} {sub_of(data)}".encode()).hexdigest()
        return found

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Log in, or link the account. Raises ImmediateHttpResponse with the answer, always."""
        wanted = sociallogin.state.get("next") or ""
        try:
            if request.user.is_authenticated:
                _link(request, request.user, sociallogin)
                answer = redirect("account")
            else:
                login(request, _user_of(sociallogin), backend=settings.AUTHENTICATION_BACKENDS[0])
                request.session.set_expiry(None)  # a stranger's was to end soon
                answer = redirect(destination_of(wanted if is_ours(request, wanted) else ""))
        except Problem as problem:
            messages.error(request, problem.message)
            answer = redirect("login")
        raise ImmediateHttpResponse(answer)

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        logger.warning(
            "A log-in with %s failed: %s", settings.OIDC_NAME, type(exception).__name__ if exception else error
        )
        messages.error(request, f"Logging in with {settings.OIDC_NAME} did not work. Please try again.")
        raise ImmediateHttpResponse(redirect("login"))


def _user_of(found: SocialLogin) -> User:
    """Return the user of the account at the provider, making one if the settings say so. Raises Problem."""
    if found.account.pk:
        SocialAccount.objects.filter(pk=found.account.pk).update(extra_data={})  # allauth has just written it
        user: User = found.account.user
        if not user.is_active:
            raise Problem("user_inactive", "This account cannot be used.", status=403)
        return user
    if not (settings.OIDC_SIGN_UP or settings.SIGN_UP == "open"):
        sentence = f"No account here is linked to yours at {settings.OIDC_NAME}. Link it on the page of your account."
        raise Problem("not_linked", sentence, status=403)
    with transaction.atomic():
        wanted = found.user
        user = User(username=generate_unique_username([wanted.username, wanted.email, "user"]), email=wanted.email)
        user.set_unusable_password()
        user.save(force_insert=True)
        _save(found.account, user)
        audit(actor=user.username, action="account.create", subject=f"user {user.pk}", provider=settings.OIDC_NAME)
    return user


def _link(request: HttpRequest, user: Any, found: SocialLogin) -> None:
    """Link the account to the user who is logged in and has said so a moment ago. Raises Problem."""
    if request.session.pop(LINKING_UNTIL, 0) < clock.now():
        raise Problem("not_confirmed", "You are logged in already.", status=403)
    if found.account.pk and found.account.user_id != user.pk:
        raise Problem("linked_elsewhere", "That account is linked to another user here.", status=409)
    with transaction.atomic():
        SocialAccount.objects.filter(user=user.pk, provider=found.account.provider).delete()
        found.account.pk = None
        _save(found.account, user)
        audit(actor=user.get_username(), action="account.link", subject=f"user {user.pk}")
    messages.success(request, f"You can now log in with {settings.OIDC_NAME}.")


def _save(account: SocialAccount, user: Any) -> None:
    account.user = user
    account.extra_data = {}  # what else the provider tells about the person is not needed here
    account.save(force_insert=True)
