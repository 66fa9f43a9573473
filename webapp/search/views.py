"""The pages of a search: choose a picture, see the matches. They work without JavaScript."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from webapp.gallery.selectors import Viewer, gallery_for
from webapp.generations.selectors import active_generation
from webapp.http.polling import STOP_POLLING
from webapp.http.problems import Problem
from webapp.search.services import search_held, search_start, search_wait
from webapp.search.tokens import SearchJob, search_job
from webapp.search.uploads import query_image, use_memory
from worker.recognition.packs.catalogue import known_pack

#: How long the form's POST waits, so that an answer that comes quickly is on the first page that is shown.
FORM_WAIT_SECONDS = 10.0
#: How long one poll of the result page waits.
POLL_WAIT_SECONDS = 10.0
#: Most matches shown per face.
MATCHES_SHOWN = 24


# The CSRF check parses the body; it must not do so before the body is bound to memory: see uploads.py.
@csrf_exempt
@require_http_methods(["GET", "POST"])
async def search_page(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """The form, and what it sends."""
    if request.method == "POST":
        await use_memory(request)
        refusal: HttpResponse | None = await sync_to_async(_csrf_refusal)(request)
        if refusal is not None:
            return refusal
    return await _search_page(request, gallery_id)


def _csrf_refusal(request: HttpRequest) -> HttpResponse | None:
    """The check that @csrf_exempt put off. Run in a thread: its refusal is a page that reads the session."""
    middleware: CsrfViewMiddleware = CsrfViewMiddleware(lambda _: HttpResponse())
    # It asks the view only whether it is exempt.
    return middleware.process_view(request, lambda: HttpResponse(), (), {})


@login_required
async def _search_page(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    user = await request.auser()
    gallery = await sync_to_async(gallery_for)(user, gallery_id)
    context: dict[str, Any] = {"gallery": gallery}
    if request.method == "GET":
        return await _render(request, "search/search.html", context)
    try:
        image = query_image(request.FILES.get("image"))
        job = await search_start(image=image, user=user, gallery_id=gallery_id, limit=MATCHES_SHOWN)
        await search_held(job=job, user=user, wait_seconds=FORM_WAIT_SECONDS)
    except Problem as problem:
        return await _render(request, "search/search.html", context | {"problem": problem}, status=problem.status)
    # Redirect, so that reloading the page does not send the picture again; the answer waits in Redis.
    return redirect("search_result", job.to_token())


@never_cache
@require_GET
@login_required
async def search_result(request: HttpRequest, job: str) -> HttpResponse:
    """The answer, or a page that polls for it. For htmx only the part that changes."""
    user = await request.auser()
    search = search_job(job, user_id=user.pk)
    is_poll = bool(request.headers.get("HX-Request"))
    context = await _result_context(search, user, wait_seconds=POLL_WAIT_SECONDS if is_poll else 0)
    if not is_poll:
        problem = context["problem"]
        return await _render(
            request, "search/result.html", context | {"job": job}, status=problem.status if problem else 200
        )
    status = STOP_POLLING if context["is_settled"] else 200
    return await _render(request, "search/_result.html", context, status=status)


async def _result_context(search: SearchJob, user: Viewer, *, wait_seconds: float) -> dict[str, Any]:
    gallery = await sync_to_async(gallery_for)(user, search.gallery_id)
    answer, problem = None, None
    try:
        answer = await search_wait(job=search, user=user, wait_seconds=wait_seconds)
    except Problem as error:
        problem = error
    return {
        "gallery": gallery,
        "answer": answer,
        "problem": problem,
        # A queue that is down for a moment is asked again; a picture that is none stays one.
        "is_settled": answer is not None or (problem is not None and problem.code != "queue_unavailable"),
    }


def _starter_pack() -> str:
    """Return the name of the pack that is searched if it is one that recognises nobody, else nothing."""
    known = known_pack(active_generation().pack)
    return known.name if known and known.is_built_in else ""


async def _render(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Render in a thread: the templates read the session and the user."""
    context = context | {"starter_pack": _starter_pack}
    return await sync_to_async(render)(request, template, context, status=status)
