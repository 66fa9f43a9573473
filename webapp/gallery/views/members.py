"""The page of a gallery's members: who they are, and for its owner, what they may do and who may join."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.accounts.own.links import absolute
from webapp.accounts.staff import actor_of
from webapp.gallery.access import level_of
from webapp.gallery.members import invitations, services
from webapp.gallery.members.schemas import InvitationIn, LevelIn, TransferIn
from webapp.gallery.members.selectors import invitations_of, member_of, members_of
from webapp.gallery.models import MEMBER_LEVELS, Gallery, Level, Member
from webapp.gallery.selectors import gallery_for
from webapp.gallery.services import gallery_change
from webapp.http.pages import form_of
from webapp.http.problems import Problem

#: Members on a page.
PAGE_SIZE = 100


@login_required
@require_safe
def member_list(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Show the members. The owner changes them here and invites others; a member leaves."""
    gallery = gallery_for(caller_of(request), gallery_id)
    return render(request, "gallery/member_list.html", _context(request, gallery))


def _context(request: HttpRequest, gallery: Gallery) -> dict[str, Any]:
    level = level_of(caller_of(request), gallery)
    return {
        "gallery": gallery,
        "level": level,
        "page": Paginator(members_of(gallery), PAGE_SIZE).get_page(request.GET.get("page")),
        "levels": [Level(value) for value, _ in MEMBER_LEVELS],
        "invitations": invitations_of(gallery) if level.is_owner else [],
        "default_days": invitations.DEFAULT_DAYS,
        "most_days": invitations.MOST_DAYS,
        "most_places": invitations.MOST_PLACES,
    }


@login_required
@require_POST
def member_change(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> HttpResponse:
    """Give a member another level."""
    member = _member(request, gallery_id, member_id)
    level = Level[form_of(request, LevelIn).level.upper()]
    services.member_level_set(member=member, level=level)
    messages.success(request, f"{member.user} is {_article(level)} now.")
    return redirect("member_list", gallery_id)


@login_required
@require_POST
def member_remove(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> HttpResponse:
    member = _member(request, gallery_id, member_id)
    services.member_remove(member=member)
    messages.success(request, f"{member.user} is no longer a member.")
    return redirect("member_list", gallery_id)


@login_required
@require_POST
def download_allow(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Let members download the files of photos, or not if `is_allowed` is empty."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    gallery = gallery_change(gallery=gallery, may_download=bool(request.POST.get("is_allowed")))
    messages.success(request, f"Members may {'' if gallery.may_download else 'not '}download the files of photos.")
    return redirect("member_list", gallery_id)


@login_required
@require_POST
def gallery_leave(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id)
    services.gallery_leave(gallery=gallery, caller=caller)
    messages.success(request, f"You have left the gallery “{gallery.name}”.")
    return redirect("gallery_list")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gallery_transfer(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Ask who is to be the owner; POST makes them the owner."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    problem = None
    if request.method == "POST":
        member = member_of(gallery, form_of(request, TransferIn).member_id)
        try:
            services.gallery_transfer(gallery=gallery, to=member, actor=actor_of(request))
        except Problem as error:
            problem = error
        else:
            messages.success(request, f"The gallery “{gallery.name}” belongs to {member.user} now; you are an editor.")
            return redirect("member_list", gallery_id)
    context = {"gallery": gallery, "members": members_of(gallery), "problem": problem}
    return render(request, "gallery/gallery_transfer.html", context, status=problem.status if problem else 200)


@never_cache
@login_required
@require_POST
def invitation_create(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Make an invitation, and show its link: this once, so there is no redirect."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    asked = form_of(request, InvitationIn)
    level = Level[asked.level.upper()]
    invitation, token = invitations.invitation_create(
        gallery=gallery, level=level, places=asked.places, days=asked.expires_in_days
    )
    link = absolute(reverse("invitation", args=[token]), request)
    context = _context(request, gallery) | {"link": link, "invitation": invitation, "invited_level": level}
    return render(request, "gallery/member_list.html", context)


def _member(request: HttpRequest, gallery_id: UUID, member_id: UUID) -> Member:
    """Return the member of a gallery whose owner asks."""
    return member_of(gallery_for(caller_of(request), gallery_id, Level.OWNER), member_id)


def _article(level: Level) -> str:
    return f"an {level.label}" if level == Level.EDITOR else f"a {level.label}"
