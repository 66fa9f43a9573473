"""The page where people log in, which is also the admin's, and the one that asks for the second factor."""

from typing import Any, Final

from asgiref.sync import sync_to_async
from django import forms
from django.conf import settings
from django.contrib.auth import alogin
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from tasks import clock
from webapp.accounts.login.checking import LONGEST_PASSWORD, code_confirm, user_of_password
from webapp.accounts.login.destinations import destination_of, remember_wanted, wanted_by
from webapp.accounts.login.devices import remember_device
from webapp.accounts.own.second_factor import code_use, is_second_factor_on
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem

#: Key in the session of somebody whose password was right: who it is, and when that was.
PENDING: Final = "pending_log_in"
#: How long the code may take.
PENDING_SECONDS: Final = 10 * 60


WRONG = "Wrong name or password. Both are case-sensitive."


class LogInForm(forms.Form):
    username = UsernameField(max_length=254)
    password = forms.CharField(max_length=LONGEST_PASSWORD, strip=False)


class CodeForm(forms.Form):
    code = forms.CharField(max_length=20)


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def log_in(request: HttpRequest) -> HttpResponse:
    """Show the form, or log in: no thread that pages need is held meanwhile."""
    if (await request.auser()).is_authenticated:
        return redirect(destination_of(wanted_by(request)))
    if request.method != "POST":
        return await _page(request, LogInForm())
    form = LogInForm(request.POST)
    if not form.is_valid():
        form.add_error(None, WRONG)
        return await _page(request, form)
    username = form.cleaned_data["username"]
    try:
        user = await user_of_password(request, username, form.cleaned_data["password"])
    except Problem as problem:
        return await _page(request, form, problem)
    if user is None:
        form.add_error(None, WRONG)
        return await _page(request, form)
    if settings.TOTP and await sync_to_async(is_second_factor_on)(user.pk):
        return await _ask_for_code(request, user)
    return await _logged_in(request, user, wanted_by(request))


async def _logged_in(request: HttpRequest, user: User, wanted: str) -> HttpResponse:
    await alogin(request, user)
    response = redirect(destination_of(wanted))
    remember_device(response, user.get_username())
    return response


async def _ask_for_code(request: HttpRequest, user: User) -> HttpResponse:
    pending = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": clock.now(),
        "next": wanted_by(request),
    }
    await request.session.aset(PENDING, pending)
    return redirect("log_in_code")


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def log_in_code(request: HttpRequest) -> HttpResponse:
    """Ask somebody whose password was right for a code of the second factor."""
    pending: dict[str, Any] = await request.session.aget(PENDING, {})
    user = await _pending_user(pending)
    if user is None:
        return redirect("login")
    form, problem = CodeForm(posted(request)), None
    if request.method == "POST" and form.is_valid():
        code = form.cleaned_data["code"]

        async def check() -> bool:
            return await sync_to_async(code_use)(user_id=user.pk, code=code)

        try:
            if await code_confirm(request, user.pk, check):
                await request.session.apop(PENDING)
                return await _logged_in(request, user, pending["next"])
            problem = Problem("wrong_code", "That code is wrong, too old, or was used before.", status=400)
        except Problem as error:
            problem = error
    return await render_page(request, "accounts/log_in_code.html", {}, problem=problem)


async def _pending_user(pending: dict[str, Any]) -> User | None:
    """Return whom a code is waited for; None if nobody, or for too long, or if the password has changed since."""
    if not pending or not 0 <= clock.now() - pending["at"] <= PENDING_SECONDS:
        return None
    user = await User.objects.filter(pk=pending["user"], is_active=True).afirst()
    return user if user is not None and user.get_session_auth_hash() == pending["hash"] else None


async def _page(request: HttpRequest, form: LogInForm, problem: Problem | None = None) -> HttpResponse:
    context = {
        "form": form,
        "next": wanted_by(request),
        "is_sign_up_open": settings.SIGN_UP == "open",
        "sends_email": bool(settings.EMAIL_URL),
        "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
    }
    response = await render_page(request, "accounts/login.html", context, problem=problem)
    remember_wanted(response, wanted_by(request))
    return response
