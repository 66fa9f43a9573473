"""Invitations: the owner revokes them; whoever has the link sees what it is to, and accepts or not."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.gallery.members import invitations
from webapp.gallery.members.selectors import invitation_to
from webapp.gallery.models import Level
from webapp.gallery.selectors import gallery_for


@login_required
@require_POST
def invitation_revoke(request: HttpRequest, gallery_id: UUID, invitation_id: UUID) -> HttpResponse:
    gallery = gallery_for(caller_of(request), gallery_id, Level.OWNER)
    invitations.invitation_revoke(invitation=invitation_to(gallery, invitation_id))
    messages.success(request, "The invitation is revoked.")
    return redirect("member_list", gallery_id)


@never_cache
@login_required
@require_safe
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Say who invites to what before anybody accepts. Whoever is not logged in comes back here after that."""
    found = invitations.invitation_of(token)
    context = {"invitation": found, "gallery": found.gallery, "level": Level(found.level), "token": token}
    return render(request, "gallery/invitation.html", context)


@login_required
@require_POST
def invitation_accept(request: HttpRequest) -> HttpResponse:
    """Accept the invitation whose `token` the form sends: a refusal's log line shows addresses, and no forms."""
    gallery = invitations.invitation_accept(caller=caller_of(request), token=request.POST.get("token", ""))
    messages.success(request, f"The gallery “{gallery.name}” is shared with you.")
    return redirect("gallery_detail", gallery.id)
