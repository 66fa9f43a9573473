"""Log-in with OpenID Connect, and linking one's account to one at the provider."""

import logging
from typing import Any, Final

from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.openid_connect import views as allauth_views
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from requests import RequestException

from tasks import clock
from webapp.accounts.login.checking import identity_confirm
from webapp.accounts.login.oidc import LINKING_UNTIL
from webapp.accounts.login.pools import network_pool
from webapp.accounts.own.forms import ConfirmedForm
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem
from worker.errors import Busy

logger = logging.getLogger(__name__)

#: Seconds within which the provider must have answered, once somebody has confirmed that they want to link.
LINKING_SECONDS: Final = 10 * 60
#: How long a stranger's session lives that only remembers what was sent to the provider: anybody may begin one.
ROUND_TRIP_SECONDS: Final = 10 * 60


@never_cache
@require_safe
async def log_in(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the browser to the provider."""
    return await _waiting_for_the_provider(_begin, request, provider_id)


@never_cache
@require_safe
async def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take the browser back from the provider, and ask there who it is."""
    return await _waiting_for_the_provider(allauth_views.callback, request, provider_id)


def _begin(request: HttpRequest, provider_id: str) -> Any:
    if not request.user.is_authenticated:
        request.session.set_expiry(ROUND_TRIP_SECONDS)
    return allauth_views.login(request, provider_id)


async def _waiting_for_the_provider(view: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    """Run the view on a thread that no page needs."""
    await request.auser()
    try:
        return await network_pool.run_view(view, request, provider_id)
    except Busy as error:
        raise Problem.from_error(error) from error
    except (RequestException, KeyError) as error:  # it is down, or what it says about itself is incomplete
        logger.warning("%s does not answer as a provider does: %s", settings.OIDC_NAME, type(error).__name__)
        messages.error(request, f"{settings.OIDC_NAME} does not answer. Please try again later.")
        return redirect("login")


@sensitive_post_parameters("current")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def link(request: HttpRequest) -> HttpResponse:
    """Confirm that one wants to link, or unlink, one's account: who can log in there can log in here."""
    user: Any = await request.auser()
    linked = SocialAccount.objects.filter(user=user.pk)
    is_linked = await linked.aexists()
    form, problem, is_confirmed = ConfirmedForm(posted(request), user=user), None, False
    if request.method == "POST" and form.is_valid():
        try:
            await identity_confirm(request, form.cleaned_data.get("current", ""))
            if is_linked and not user.has_usable_password():
                raise Problem(
                    "no_password", "Please set a password first, or you could not log in any more.", status=400
                )
            if is_linked:
                await linked.adelete()
                messages.success(request, f"Your account is no longer linked to {settings.OIDC_NAME}.")
                return redirect("account")
            await request.session.aset(LINKING_UNTIL, clock.now() + LINKING_SECONDS)
            is_confirmed = True
        except Problem as error:
            problem = error
    context = {
        "form": form,
        "is_linked": is_linked,
        "is_confirmed": is_confirmed,
        "oidc_name": settings.OIDC_NAME,
    }
    return await render_page(request, "accounts/oidc.html", context, problem=problem)
