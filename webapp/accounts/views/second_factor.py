"""The page where people turn the second factor of their account on and off."""

from typing import Any, Final

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.accounts.login.checking import code_confirm, identity_confirm
from webapp.accounts.own.forms import ConfirmedForm
from webapp.accounts.own.second_factor import (
    code_use,
    is_second_factor_on,
    new_secret,
    qr_code,
    second_factor_off,
    second_factor_on,
)
from webapp.http.middleware import PAGE_POLICY
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem

#: Key in the session: the secret that is shown until a code proves that the app has it.
SHOWN: Final = "second_factor_shown"
#: The QR code is an image that the page itself contains.
QR_POLICY: Final = PAGE_POLICY.replace("img-src 'self' blob:", "img-src 'self' data:")


class OnForm(ConfirmedForm):
    code = forms.CharField(
        label="Code that the app shows",
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    field_order = ["code", "current"]


class OffForm(OnForm):
    code = forms.CharField(
        label="Code that the app shows, or a recovery code",
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code"}),
    )


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def second_factor(request: HttpRequest) -> HttpResponse:
    user: Any = await request.auser()
    is_on = await sync_to_async(is_second_factor_on)(user.pk)
    form = (OffForm if is_on else OnForm)(posted(request), user=user)
    problem = None
    if request.method == "POST" and form.is_valid():
        try:
            await identity_confirm(request, form.cleaned_data.get("current", ""))
            return await (_off if is_on else _on)(request, user, form.cleaned_data["code"])
        except Problem as error:
            problem = error
    context: dict[str, Any] = {"form": form, "is_on": is_on}
    if not is_on:
        secret = await _shown_secret(request)
        # In groups of four, which are easier to type.
        context["secret"] = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        context["qr_code"] = await sync_to_async(qr_code)(user=user, secret=secret)
    response = await render_page(request, "accounts/second_factor.html", context, problem=problem)
    response["Content-Security-Policy"] = QR_POLICY
    return response


async def _on(request: HttpRequest, user: Any, code: str) -> HttpResponse:
    codes = await sync_to_async(second_factor_on)(user=user, secret=await _shown_secret(request), code=code)
    await request.session.apop(SHOWN)
    return await render_page(request, "accounts/recovery_codes.html", {"codes": codes})


async def _off(request: HttpRequest, user: Any, code: str) -> HttpResponse:
    async def check() -> bool:
        return await sync_to_async(code_use)(user_id=user.pk, code=code)

    if not await code_confirm(request, user.pk, check):
        raise Problem("wrong_code", "That code is wrong, too old, or was used before.", status=400)
    await sync_to_async(second_factor_off)(user=user, actor=user.get_username())
    messages.success(request, "The second factor is off.")
    return redirect("account")


async def _shown_secret(request: HttpRequest) -> str:
    secret: str = await request.session.aget(SHOWN, "")
    if not secret:
        secret = new_secret()
        await request.session.aset(SHOWN, secret)
    return secret
