"""The API of galleries, photos, faces and members."""

from ninja import Router

from webapp.gallery.api import faces, galleries, invitations, members, moving, photos

routers: list[Router] = [
    galleries.router,
    photos.router,
    moving.router,
    faces.router,
    members.router,
    invitations.router,
]
