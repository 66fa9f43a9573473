"""The pages that set a password: with the old one, or with a link."""

import logging
from typing import Any

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.accounts.login.checking import attempt_or_refuse, hashed, identity_confirm
from webapp.accounts.login.devices import account_key
from webapp.accounts.login.limits import new_attempt
from webapp.accounts.login.pools import network_pool
from webapp.accounts.own.forms import ConfirmedForm, NewPasswordForm
from webapp.accounts.own.passwords import password_change, password_links_send, user_of_link
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem
from webapp.http.shares import address_key
from worker.errors import Busy

logger = logging.getLogger(__name__)

#: Links by e-mail that may be asked for within fifteen minutes: for one e-mail address, and by one IP address.
LINKS_PER_EMAIL, LINKS_PER_ADDRESS = 3, 10


class ChangeForm(ConfirmedForm, NewPasswordForm):
    field_order = ["current", "password", "again"]


class EmailForm(forms.Form):
    email = forms.EmailField(label="E-mail address", max_length=254, widget=forms.EmailInput({"autocomplete": "email"}))


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def change(request: HttpRequest) -> HttpResponse:
    """Change one's own password; all other sessions end."""
    user: Any = await request.auser()
    form, problem = ChangeForm(posted(request), user=user), None
    if request.method == "POST" and await sync_to_async(form.is_valid)():
        try:
            await identity_confirm(request, form.cleaned_data.get("current", ""))
            encoded = await hashed(make_password, form.cleaned_data["password"])
        except Problem as error:
            problem = error
        else:
            await sync_to_async(_change)(request, user, encoded)
            messages.success(
                request, "The password is changed. You are logged out everywhere else. API keys still work."
            )
            return redirect("account")
    return await _page(request, "accounts/password_change.html", form, problem)


def _change(request: HttpRequest, user: Any, encoded: str) -> None:
    user.password = encoded
    update_session_auth_hash(request, user)  # in a thread: its async form reads the user synchronously
    password_change(user=user, encoded=encoded, keep_session=request.session.session_key)


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def set_by_link(request: HttpRequest, user_code: str, token: str) -> HttpResponse:
    """Set the password of the link's user, who logs in with it next."""
    user = await sync_to_async(user_of_link)(user_code, token)
    if user is None:
        raise Problem("bad_link", "This link was used before, or has expired. Please ask for a new one.", status=404)
    form, problem = NewPasswordForm(posted(request)), None
    if request.method == "POST" and await sync_to_async(form.is_valid)():
        try:
            encoded = await hashed(make_password, form.cleaned_data["password"])
        except Problem as error:
            problem = error
        else:
            await sync_to_async(password_change)(user=user, encoded=encoded)
            messages.success(request, "The password is set. Please log in with it.")
            return redirect("login")
    return await _page(request, "accounts/password_set.html", form, problem, name=user.get_username())


@require_http_methods(["GET", "HEAD", "POST"])
async def forgotten(request: HttpRequest) -> HttpResponse:
    """Send a link by e-mail. The answer is the same, and as quick, whether there is such a user or not."""
    form, problem = EmailForm(posted(request)), None
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        limits = {
            f"password:email:{account_key(email.lower())}": LINKS_PER_EMAIL,
            f"password:{address_key(request.META.get('REMOTE_ADDR', ''))}": LINKS_PER_ADDRESS,
        }
        try:
            await attempt_or_refuse(request, new_attempt(limits), "There were too many requests for links.")
            network_pool.start(password_links_send, email=email)
        except Busy as error:
            problem = Problem.from_error(error)
        except Problem as error:
            problem = error
        else:
            messages.success(request, "If an account has this e-mail address, a link is on its way there.")
            return redirect("login")
    return await _page(request, "accounts/password_forgotten.html", form, problem)


async def _page(
    request: HttpRequest, template: str, form: forms.Form, problem: Problem | None, **more: Any
) -> HttpResponse:
    return await render_page(request, template, {"form": form, **more}, problem=problem)
