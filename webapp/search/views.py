"""The pages of a search: choose an image or a face of a photo, see the matches. They work without JavaScript."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.callers import Caller
from webapp.gallery.selectors import galleries_given, gallery_for
from webapp.http.pages import STOP_POLLING, render_page
from webapp.http.problems import Problem
from webapp.search.services import search_held, search_start, search_wait
from webapp.search.tickets import Ticket, ticket_from
from webapp.search.uploads import forget_image, query_image, use_memory

#: How long the form's POST waits, so that a quick answer is already on the first page shown.
FORM_WAIT_SECONDS = 10.0
#: How long one poll of the result page waits.
POLL_WAIT_SECONDS = 10.0
#: The most matches shown per face.
MATCHES_SHOWN = 24


# The CSRF check parses the body, which must happen in memory: see uploads.py.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
async def search_page(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Show the form, or take what it sends."""
    if request.method == "POST":
        refusal: HttpResponse | None = await sync_to_async(_csrf_refusal)(request)
        if refusal is not None:
            return refusal
    return await _search_page(request, gallery_id)


def _csrf_refusal(request: HttpRequest) -> HttpResponse | None:
    """Parse the form, and make the check that @csrf_exempt put off. Runs in a thread: a refusal reads the session."""
    use_memory(request)
    middleware: CsrfViewMiddleware = CsrfViewMiddleware(lambda _: HttpResponse())
    # All it asks of the view is whether it is exempt.
    return middleware.process_view(request, lambda: HttpResponse(), (), {})


@login_required
async def _search_page(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    caller = Caller(user=await request.auser())
    gallery = await sync_to_async(gallery_for)(caller, gallery_id)
    context: dict[str, Any] = {"gallery": gallery}
    if request.method != "POST":
        return await render_page(request, "search/search.html", context)
    try:
        image = request.FILES.get("image")
        ticket = await search_start(
            query=query_image(image), caller=caller, gallery_ids=[gallery_id], limit=MATCHES_SHOWN
        )
        forget_image(request)
        await search_held(ticket=ticket, caller=caller, wait_seconds=FORM_WAIT_SECONDS)
    except Problem as problem:
        return await render_page(request, "search/search.html", context, problem=problem)
    # Redirect, so that reloading the page does not send the image again; the answer waits in Redis.
    return redirect("search_result", ticket.to_token())


@require_POST
@login_required
async def face_search(request: HttpRequest, face_id: UUID) -> HttpResponse:
    """Search all galleries that the user may see for a face of a photo."""
    caller = Caller(user=await request.auser())
    ticket = await search_start(query=face_id, caller=caller, gallery_ids=None, limit=MATCHES_SHOWN)
    await search_held(ticket=ticket, caller=caller, wait_seconds=FORM_WAIT_SECONDS)
    return redirect("search_result", ticket.to_token())


@never_cache
@require_safe
@login_required
async def search_result(request: HttpRequest, ticket: str) -> HttpResponse:
    """Show the answer, or a page that polls for it. htmx gets only the part that changes."""
    caller = Caller(user=await request.auser())
    search = ticket_from(ticket, user_id=caller.user.pk)
    is_poll = bool(request.headers.get("HX-Request"))
    context, problem = await _result_context(search, caller, wait_seconds=POLL_WAIT_SECONDS if is_poll else 0)
    if not is_poll:
        return await render_page(request, "search/result.html", context | {"ticket": ticket}, problem=problem)
    status = STOP_POLLING if context["is_settled"] else 200
    return await render_page(request, "search/_result.html", context, problem=problem, status=status)


async def _result_context(
    ticket: Ticket, caller: Caller, *, wait_seconds: float
) -> tuple[dict[str, Any], Problem | None]:
    galleries = await sync_to_async(galleries_given)(caller, ticket.gallery_ids)
    answer, problem = None, None
    try:
        answer = await search_wait(ticket=ticket, caller=caller, wait_seconds=wait_seconds)
    except Problem as error:
        problem = error
    context = {
        # None when several were searched.
        "gallery": galleries[0] if ticket.gallery_ids is not None and len(galleries) == 1 else None,
        "answer": answer,
        # A queue that is down for a moment is asked again; any other problem stays.
        "is_settled": answer is not None or (problem is not None and problem.code != "queue_unavailable"),
    }
    return context, problem
