"""The API of galleries, photos, faces and members."""

from ninja import Router

from webapp.gallery.api import faces, galleries, invitations, members, photos

routers: list[Router] = [
    galleries.router,
    photos.router,
    faces.router,
    members.router,
    invitations.router,
]
