"""The page where people delete their account."""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth import alogout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.accounts.login.checking import identity_confirm
from webapp.accounts.own.forms import ConfirmedForm
from webapp.http.pages import posted, render_page
from webapp.http.problems import Problem
from webapp.operations.accounts import belongings_of, deletion_request


@sensitive_post_parameters("current")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def account_delete(request: HttpRequest) -> HttpResponse:
    """Say what will be deleted; POST, with the password, deletes it."""
    user: Any = await request.auser()
    form, problem = ConfirmedForm(posted(request), user=user), None
    if request.method == "POST" and form.is_valid():
        try:
            await identity_confirm(request, form.cleaned_data.get("current", ""))
            await sync_to_async(deletion_request)(user=user, actor=user.get_username())
        except Problem as error:
            problem = error
        else:
            await alogout(request)
            messages.success(request, "Your account is closed. Everything in it is being deleted.")
            return redirect("login")
    context = {"form": form, "belongings": await sync_to_async(belongings_of)(user.pk)}
    return await render_page(request, "accounts/delete.html", context, problem=problem)
