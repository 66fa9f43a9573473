"""Health for machines, and a status page for those who run the service."""

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.operations.selectors import readiness
from webapp.problems import not_found


@never_cache
@require_safe
async def live(request: HttpRequest) -> HttpResponse:
    """This process answers. Depends on nothing else, so that a broken neighbour does not restart it."""
    return JsonResponse({"is_live": True})


@never_cache
@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Requests can be served: 200 or 503. Open to everybody, so it says what is wrong but not where."""
    state = await readiness()
    body = {
        "is_ready": state.is_ready,
        "is_database_ready": state.is_database_ready,
        "is_search_ready": state.report is not None and state.report.is_healthy,
        "connection_status": state.report.connection_status if state.report else "unknown",
        "collection_status": state.report.collection_status if state.report else "unknown",
    }
    return JsonResponse(body, status=200 if state.is_ready else 503)


@never_cache
@require_safe
@login_required
async def status(request: HttpRequest) -> HttpResponse:
    """Each worker as it describes itself, and what is wrong. For staff."""
    user = await request.auser()
    if not user.is_staff:
        raise not_found("page")
    return await sync_to_async(render)(request, "operations/status.html", {"state": await readiness()})
