"""The page of one's own account, and the sessions in which one is logged in."""

from typing import Any

from asgiref.sync import sync_to_async
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts import sessions
from webapp.accounts.login.checking import identity_confirm
from webapp.accounts.models import Profile
from webapp.accounts.own.forms import ConfirmedForm
from webapp.accounts.own.passwords import email_change
from webapp.accounts.own.profiles import UTC_NAME, profile_change, profile_of, time_zones
from webapp.accounts.own.second_factor import is_second_factor_on
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem


class EmailForm(ConfirmedForm):
    email = forms.EmailField(
        label="E-mail address",
        help_text="For a link to set a new password. Empty: none.",
        max_length=254,
        required=False,
        widget=forms.EmailInput({"autocomplete": "email"}),
    )
    field_order = ["email", "current"]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show what there is to one's account; POST changes how pages look."""
    user: Any = request.user
    if request.method == "POST":
        time_zone, theme = request.POST.get("time_zone", ""), request.POST.get("theme", "")
        profile_change(user_id=user.pk, time_zone=time_zone, theme=theme)
        messages.success(request, "Saved.")
        return redirect("account")
    profile = profile_of(user)
    context = {
        "time_zones": time_zones(),
        "time_zone_name": profile.time_zone or UTC_NAME,
        "themes": Profile.Theme.choices,
        "session_count": len(sessions.open_sessions_of(user.pk, this_key=None)),
        "has_totp": settings.TOTP,
        "is_second_factor_on": is_second_factor_on(user.pk),
        "sends_email": bool(settings.EMAIL_URL),
        "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
    }
    return render(request, "accounts/account.html", context)


@never_cache
@login_required
@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    found = sessions.open_sessions_of(_user_id(request), this_key=request.session.session_key)
    return render(request, "accounts/sessions.html", {"sessions": found})


@login_required
@require_POST
def session_end(request: HttpRequest, session_id: str) -> HttpResponse:
    """End one session, or all but this one, or all."""
    user_id, this_key = _user_id(request), request.session.session_key
    if session_id == "all":
        logout(request)
        sessions.sessions_end(user_id=user_id)
        messages.success(request, "You are logged out everywhere.")
        return redirect("login")
    if session_id == "others":
        sessions.sessions_end(user_id=user_id, but=this_key)
    elif not sessions.session_end(user_id=user_id, id=session_id):
        messages.info(request, "That session had ended already.")
        return redirect("session_list")
    messages.success(request, "Logged out there.")
    return redirect("session_list")


@sensitive_post_parameters("current")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def email(request: HttpRequest) -> HttpResponse:
    """Change the address that links to set a new password go to; so the password is asked for."""
    user: Any = await request.auser()
    form, problem = EmailForm(posted(request), user=user, initial={"email": user.email}), None
    if request.method == "POST" and form.is_valid():
        try:
            await identity_confirm(request, form.cleaned_data.get("current", ""))
            await sync_to_async(email_change)(user=user, email=form.cleaned_data["email"])
        except Problem as error:
            problem = error
        else:
            messages.success(request, "Saved.")
            return redirect("account")
    return await render_page(request, "accounts/email.html", {"form": form}, problem=problem)


def _user_id(request: HttpRequest) -> int:
    user: Any = request.user
    return int(user.pk)
