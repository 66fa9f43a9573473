"""The API of galleries, photos and members."""

from ninja import Router

from webapp.gallery.api import galleries, invitations, members, photos

routers: list[Router] = [
    galleries.router,
    photos.router,
    members.router,
    invitations.router,
]
