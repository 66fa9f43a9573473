"""The page where people make an account: by an invitation's link, or, if the settings let anybody, without one."""

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import alogin
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.accounts.login.checking import attempt_or_refuse, hashed
from webapp.accounts.login.destinations import destination_of, forget_wanted, wanted_by
from webapp.accounts.login.devices import remember_device
from webapp.accounts.login.limits import new_attempt
from webapp.accounts.own.forms import SignUpForm
from webapp.accounts.own.sign_up import account_create, sign_up_invitation_of
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem
from webapp.http.shares import address_key

#: Accounts that may be asked for within fifteen minutes from one address: each costs a hash.
SIGN_UPS_PER_ADDRESS = 20


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def sign_up(request: HttpRequest, token: str | None = None) -> HttpResponse:
    """Make an account, and log in to it."""
    if (await request.auser()).is_authenticated:
        return redirect(destination_of(wanted_by(request)))
    if token is not None:
        await sync_to_async(sign_up_invitation_of)(token)  # before anything is asked for, or hashed
    form, problem = SignUpForm(posted(request), with_email=bool(settings.EMAIL_URL)), None
    if request.method == "POST" and await sync_to_async(form.is_valid)():
        try:
            return await _signed_up(request, form, token)
        except Problem as error:
            problem = error
    context = {"form": form, "next": wanted_by(request)}
    return await render_page(request, "accounts/sign_up.html", context, problem=problem)


async def _signed_up(request: HttpRequest, form: SignUpForm, token: str | None) -> HttpResponse:
    attempt = new_attempt({f"sign-up:{address_key(request.META.get('REMOTE_ADDR', ''))}": SIGN_UPS_PER_ADDRESS})
    await attempt_or_refuse(request, attempt, "Too many accounts were made from this address.")
    encoded = await hashed(make_password, form.cleaned_data["password"])
    username, email = form.cleaned_data["username"], form.cleaned_data.get("email", "")
    user = await sync_to_async(account_create)(username=username, encoded=encoded, email=email, token=token)
    await alogin(request, user)
    response = redirect(destination_of(wanted_by(request)))
    remember_device(response, username)
    forget_wanted(response)
    return response
