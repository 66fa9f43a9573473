"""Health and metrics for machines, and a status page for those who run the service."""

from dataclasses import asdict
from ipaddress import ip_address
from secrets import compare_digest
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from tasks.dictionaries import monitoring_config
from webapp.generations.overview import pack_workers
from webapp.generations.selectors import live_generations
from webapp.http.problems import not_found
from webapp.operations.flower import FLOWER_USER, kept_password_file
from webapp.operations.health import Health, exposition, observed_health, queue_rows, readiness


@never_cache
@require_safe
async def live(request: HttpRequest) -> HttpResponse:
    """This process answers. Depends on nothing else, so that a broken neighbour does not cause a restart."""
    return JsonResponse({"is_live": True})


@never_cache
@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Requests can be served: 200 or 503. Open to everybody, so only staff get the details."""
    health = await readiness()
    report = health.report
    body = {
        "is_ready": health.is_ready,
        "is_database_ready": health.is_database_ready,
        "is_search_ready": report is not None and report.is_healthy,
        "connection_status": report.connection_status if report else "unknown",
        "collection_status": report.collection_status if report else "unknown",
    }
    if health.is_database_ready and (await request.auser()).is_staff:
        body |= await sync_to_async(_details)(health)
    return JsonResponse(body, status=200 if health.is_ready else 503)


@never_cache
@require_safe
@login_required
async def status(request: HttpRequest) -> HttpResponse:
    """Every finding, queue and worker. For staff."""
    user = await request.auser()
    if not user.is_staff:
        raise not_found("page")
    health = await readiness()
    return await sync_to_async(_status_page)(request, health)


def _status_page(request: HttpRequest, health: Health) -> HttpResponse:
    generations = live_generations() if health.is_database_ready else []
    workers = health.report.workers if health.report else ()
    health = observed_health(health)
    context = {
        "health": health,
        "queues": queue_rows(health),
        "active": generations[0] if generations else None,
        "flower_url": settings.FLOWER_URL,
        "flower_user": FLOWER_USER,
        "flower_password_file": kept_password_file(settings.DATA_DIR),
        "packs": pack_workers((generation.pack for generation in generations), workers),
    }
    return render(request, "operations/status.html", context)


@never_cache
@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """This process' metrics, and those of queues and workers as seen from here, for Prometheus."""
    if not monitoring_config().enable_metrics or not _may_read_metrics(request):
        raise not_found("page")
    health = await readiness()
    content = await sync_to_async(lambda: exposition(observed_health(health)))()
    return HttpResponse(content, content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read_metrics(request: HttpRequest) -> bool:
    """A request with METRICS_TOKEN may; if no token is set, one from this machine and through no proxy."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    try:
        is_local = ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
    return is_local and "X-Forwarded-For" not in request.headers and "Forwarded" not in request.headers


def _details(health: Health) -> dict[str, Any]:
    """Return what only staff may know."""
    workers = health.report.workers if health.report else ()
    health = observed_health(health)
    return {
        "findings": [asdict(finding) for finding in health.findings],
        "queues": [asdict(queue) for queue in queue_rows(health)],
        "workers": [worker.model_dump(mode="json") for worker in workers],
    }
