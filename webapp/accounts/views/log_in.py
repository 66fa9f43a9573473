"""The page where people log in, which is also the admin's."""

import logging

from asgiref.sync import sync_to_async
from django import forms
from django.conf import settings
from django.contrib.auth import aauthenticate, alogin
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from webapp.accounts.login.devices import device_of, remember_device
from webapp.accounts.login.hashing import hashing_pool
from webapp.accounts.login.limits import attempt_begin, attempt_forget, attempt_of
from webapp.http.problems import Problem
from worker.errors import Busy

logger = logging.getLogger(__name__)


WRONG = "Wrong name or password. Both are case-sensitive."


class LogInForm(forms.Form):
    username = UsernameField(max_length=254)
    #: Longer ones are refused before they are hashed.
    password = forms.CharField(max_length=4096, strip=False)


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def log_in(request: HttpRequest) -> HttpResponse:
    """Show the form, or log in: no thread that pages need is held meanwhile."""
    destination = _destination(request)
    if (await request.auser()).is_authenticated:
        return redirect(destination)
    if request.method != "POST":
        return await _page(request, LogInForm())
    form = LogInForm(request.POST)
    if not form.is_valid():
        form.add_error(None, WRONG)
        return await _page(request, form)
    username = form.cleaned_data["username"]
    try:
        user = await _authenticated(request, username, form.cleaned_data["password"])
    except Problem as problem:
        return await _page(request, form, problem)
    if user is None:
        form.add_error(None, WRONG)
        return await _page(request, form)
    await alogin(request, user)
    response = redirect(destination)
    remember_device(response, username)
    return response


@sensitive_variables("password")
async def _authenticated(request: HttpRequest, username: str, password: str) -> User | None:
    """Return the user; None if the name or the password is wrong. Raises Problem when it is not even looked at."""
    try:
        hashing_pool.check_room()  # before Redis and the database are asked in vain
    except Busy as error:
        raise Problem.from_error(error) from error
    address = request.META.get("REMOTE_ADDR", "")
    attempt = attempt_of(username=username, address=address, device=device_of(request, username))
    if seconds := await attempt_begin(attempt):
        logger.info("A log-in from %s was refused: too many wrong passwords before.", address)
        minutes = f"{-(-seconds // 60)} min"
        sentence = f"There were too many wrong passwords. Please try again in {minutes}."
        raise Problem("too_many_attempts", sentence, status=429, retry_after_seconds=seconds)
    try:
        user = await aauthenticate(request, username=username, password=password)
    except Busy as error:
        await attempt_forget(attempt)
        raise Problem.from_error(error) from error
    if user is not None:
        await attempt_forget(attempt)
    return user


def _destination(request: HttpRequest) -> str:
    """Return where to go after the log-in: what `next` says, unless it is another host or this page again."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    if is_ours and not wanted.startswith(reverse("login")):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)


async def _page(request: HttpRequest, form: LogInForm, problem: Problem | None = None) -> HttpResponse:
    """Render in a thread: the template reads the session and the user."""
    context = {"form": form, "problem": problem, "next": request.POST.get("next") or request.GET.get("next") or ""}
    status = problem.status if problem else 200
    response: HttpResponse = await sync_to_async(render)(request, "accounts/login.html", context, status=status)
    if problem is not None and problem.retry_after_seconds is not None:
        response["Retry-After"] = str(problem.retry_after_seconds)
    return response
