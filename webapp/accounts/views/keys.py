"""The page of a user's API keys. Only a session comes here: a key cannot make or revoke keys."""

from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from tasks import clock
from webapp.accounts.callers import Caller, Scope, caller_of
from webapp.accounts.keys import key_create, key_revoke, keys_of
from webapp.accounts.own.links import absolute
from webapp.gallery.access import visible_galleries
from webapp.gallery.models import Gallery
from webapp.gallery.selectors import galleries_given
from webapp.http.problems import Problem, not_found

#: What the page says about each scope.
SCOPES: Final = {
    Scope.READ: "see galleries, photos, people and jobs",
    Scope.WRITE: "add, change, share and delete them",
    Scope.SEARCH: "search, verify and detect faces",
    Scope.ADMIN: "what your permissions as one of the staff allow",
}
LIVES: Final = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}
ALL, SOME = "all", "some"


class KeyForm(forms.Form):
    name = forms.CharField(required=False)  # the service says what a name must be
    scopes = forms.MultipleChoiceField(choices=[(scope.value, says) for scope, says in SCOPES.items()], required=False)
    reach = forms.ChoiceField(choices=[(ALL, ALL), (SOME, SOME)])
    galleries = forms.TypedMultipleChoiceField(coerce=UUID, required=False)
    expires = forms.ChoiceField(choices=list(LIVES.items()), required=False)

    def __init__(self, data: Any, galleries: list[Gallery]) -> None:
        super().__init__(data)
        choices: Any = [(str(gallery.pk), gallery.name) for gallery in galleries]
        self.fields["galleries"].choices = choices  # type: ignore[attr-defined]


@login_required
@never_cache
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def key_list(request: HttpRequest) -> HttpResponse:
    """List the user's keys; POST makes one, and shows it once."""
    caller = caller_of(request)
    user = cast(User, caller.user)
    galleries = list(visible_galleries(caller).select_related("owner").order_by("name"))
    context: dict[str, Any] = {"chosen": {"reach": ALL, "expires": "90"}}
    status = 200
    if request.method == "POST":
        try:
            token, scopes = _make(caller, user, KeyForm(request.POST, galleries))
            context |= {"token": token, "example": _example(absolute("/api/v1/", request), token, scopes)}
        except Problem as problem:
            context |= {"problem": problem, "chosen": _filled_in(request)}
            status = problem.status
    offered = {scope.value: says for scope, says in SCOPES.items() if scope != Scope.ADMIN or user.is_staff}
    # Of galleries that the user has left or that are gone, nothing is shown.
    keys = keys_of(user).prefetch_related(Prefetch("galleries", visible_galleries(caller)))
    context |= {"keys": keys, "galleries": galleries, "scopes": offered, "lives": LIVES}
    return render(request, "accounts/keys.html", context | {"now": clock.utcnow()}, status=status)


@login_required
@require_POST
def key_delete(request: HttpRequest, key_id: int) -> HttpResponse:
    """Revoke a key."""
    user = cast(User, caller_of(request).user)
    key = keys_of(user).filter(pk=key_id).first()
    if key is None:
        raise not_found("API key")
    key_revoke(key=key, actor=user.get_username())
    messages.success(request, f"The API key “{key.name}” is revoked.")
    return redirect("key_list")


def _filled_in(request: HttpRequest) -> dict[str, Any]:
    """Return what the form shows again after it was refused."""
    single: dict[str, Any] = {name: request.POST.get(name, "") for name in ("name", "reach", "expires")}
    return single | {name: request.POST.getlist(name) for name in ("scopes", "galleries")}


@sensitive_variables()
def _make(caller: Caller, user: User, form: KeyForm) -> tuple[str, list[Scope]]:
    """Make a key as the form says; return its token and scopes. Raises Problem."""
    if not form.is_valid():
        raise Problem("invalid_request", "Please choose from what the form offers.", status=422)
    chosen = form.cleaned_data
    scopes = [Scope(scope) for scope in chosen["scopes"]]
    _, token = key_create(
        user=user,
        name=chosen["name"],
        scopes=scopes,
        galleries=galleries_given(caller, chosen["galleries"]) if chosen["reach"] == SOME else None,
        expires_at=clock.utcnow() + timedelta(days=int(chosen["expires"])) if chosen["expires"] else None,
    )
    return token, scopes


def _example(api_url: str, token: str, scopes: list[Scope]) -> str:
    """Return a command line that uses the key for something that it may be used for."""
    if Scope.READ in scopes:
        call = f"{api_url}galleries"
    elif Scope.SEARCH in scopes:
        call = f"-F image=@photo.jpg '{api_url}searches?wait=10'"
    elif Scope.WRITE in scopes:
        call = f"""-H 'Content-Type: application/json' -d '{{"name": "Holidays"}}' {api_url}galleries"""
    else:
        call = f"{api_url}generations"
    return f"curl -H 'Authorization: Bearer {token}' {call}"
