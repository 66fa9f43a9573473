"""The pages of a search: choose an image or a face, see the matches, name them. They work without JavaScript."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.callers import Caller, caller_of
from webapp.gallery.access import visible_galleries
from webapp.gallery.models import Level
from webapp.gallery.selectors import galleries_given, gallery_for
from webapp.generations.faces import face_for, faces_for
from webapp.http.pages import STOP_POLLING, render_page
from webapp.http.problems import Problem, not_found
from webapp.people.services import faces_name
from webapp.search.services import search_held, search_start, search_wait
from webapp.search.showing import FACES_ASKED_FOR, LEAST_ASKED_FOR, shown_answer
from webapp.search.tickets import Ticket, ticket_from
from webapp.search.uploads import forget_image, query_image, use_memory

#: How long the form's POST waits, so that a quick answer is already on the first page shown.
FORM_WAIT_SECONDS = 10.0
#: How long one poll of the result page waits.
POLL_WAIT_SECONDS = 10.0
#: The most galleries that may be ticked: each makes the ticket, which is part of a URL, some 40 characters longer.
GALLERIES_TICKED = 100
#: The most faces that are named at once: all that the page of a picture with many faces may show of each.
FACES_NAMED = 10 * FACES_ASKED_FOR


# The CSRF check parses the body, which must happen in memory: see uploads.py.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
async def search_page(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Show the form of a search in one gallery, or take what it sends."""
    return await _refusal(request) or await _search_page(request, gallery_id)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
async def search_galleries(request: HttpRequest) -> HttpResponse:
    """Show the form of a search in all galleries or some, or take what it sends.

    `?gallery=` ticks a gallery, and `?face=` names a face of a photo to search for instead of an image.
    """
    return await _refusal(request) or await _search_galleries(request)


async def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Parse a form that is sent, and make the check that @csrf_exempt put off; return None for a page asked for."""
    if request.method != "POST":
        return None
    refusal: HttpResponse | None = await sync_to_async(_csrf_refusal)(request)
    return refusal


def _csrf_refusal(request: HttpRequest) -> HttpResponse | None:
    """Runs in a thread: a refusal reads the session."""
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
        return await _started(request, caller, query_image(request.FILES.get("image")), [gallery_id])
    except Problem as problem:
        return await render_page(request, "search/search.html", context, problem=problem)


@login_required
async def _search_galleries(request: HttpRequest) -> HttpResponse:
    caller = Caller(user=await request.auser())
    sent = request.POST if request.method == "POST" else request.GET
    ticked = sent.getlist("gallery")
    context = await sync_to_async(_form_context)(caller, face=sent.get("face", ""), ticked=ticked)
    if request.method != "POST":
        return await render_page(request, "search/search.html", context)
    try:
        if len(ticked) > GALLERIES_TICKED:
            sentence = f"Please tick at most {GALLERIES_TICKED} galleries, or none: then all are searched."
            raise Problem("invalid_request", sentence, status=422)
        stored = context["stored"]
        query = stored.id if stored else query_image(request.FILES.get("image"))
        return await _started(request, caller, query, ticked or None)
    except Problem as problem:
        return await render_page(request, "search/search.html", context, problem=problem)


def _form_context(caller: Caller, *, face: str, ticked: list[str]) -> dict[str, Any]:
    return {
        "galleries": list(visible_galleries(caller).select_related("owner").order_by("name", "id")),
        "ticked": ticked,
        "stored": face_for(caller, _id(face)) if face else None,
    }


async def _started(
    request: HttpRequest, caller: Caller, query: bytes | UUID, gallery_ids: list[Any] | None
) -> HttpResponse:
    """Start the search, wait a little, and lead to its result. Raises Problem."""
    ticket = await search_start(
        query=query,
        caller=caller,
        gallery_ids=gallery_ids,
        limit=FACES_ASKED_FOR,
        min_similarity=LEAST_ASKED_FOR,
    )
    forget_image(request)
    await search_held(ticket=ticket, caller=caller, wait_seconds=FORM_WAIT_SECONDS)
    # Redirect, so that reloading the page does not send the image again; the answer waits in Redis.
    return redirect("search_result", ticket.to_token())


@require_POST
@login_required
async def face_search(request: HttpRequest, face_id: UUID) -> HttpResponse:
    """Search all galleries that the user may see for a face of a photo."""
    return await _started(request, Caller(user=await request.auser()), face_id, None)


@never_cache
@require_safe
@login_required
async def search_result(request: HttpRequest, ticket: str) -> HttpResponse:
    """Show the answer, or a page that polls for it. htmx gets only the part that changes.

    `?least=` is where the slider stands: matches that are less similar are hidden.
    """
    caller = Caller(user=await request.auser())
    search = ticket_from(ticket, user_id=caller.user.pk)
    is_poll = bool(request.headers.get("HX-Request"))
    context, problem = await _result_context(search, caller, wait_seconds=POLL_WAIT_SECONDS if is_poll else 0)
    if context["answer"] is not None:
        least = _similarity(request.GET.get("least", ""))
        context["shown"] = await sync_to_async(shown_answer)(context["answer"], caller=caller, least=least)
    context["ticket"] = ticket
    if not is_poll:
        return await render_page(request, "search/result.html", context, problem=problem)
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
        "are_all": ticket.gallery_ids is None,
        "gallery_count": len(galleries),
        "answer": answer,
        # A queue that is down for a moment is asked again; any other problem stays.
        "is_settled": answer is not None or (problem is not None and problem.code != "queue_unavailable"),
    }
    return context, problem


@require_POST
@login_required
def matches_name(request: HttpRequest, ticket: str) -> HttpResponse:
    """Give the ticked faces of a result the name, and lead back to it."""
    caller = caller_of(request)
    galleries_given(caller, ticket_from(ticket, user_id=caller.user.pk).gallery_ids)
    try:
        face_ids = [_id(text) for text in request.POST.getlist("face")[:FACES_NAMED]]
        if not face_ids:
            raise Problem("invalid_request", "Please tick at least one match.", status=400)
        name = request.POST.get("name", "")
        named = faces_name(faces=faces_for(caller, face_ids, Level.EDITOR), name=name)
        if named:
            messages.success(request, f"{'1 face' if named == 1 else f'{named} faces'} named.")
        if left := len(set(face_ids)) - named:
            messages.warning(request, f"{left} not named: gone since, or in a gallery that you may not change.")
    except Problem as problem:
        messages.error(request, problem.message)
    least = _similarity(request.POST.get("least", ""))
    return redirect(reverse("search_result", args=[ticket]) + ("" if least is None else f"?least={least:g}"))


def _similarity(text: str) -> float | None:
    """Return the similarity; None for what is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -1 <= value <= 1 else None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise not_found("face") from None
