"""The API of galleries, photos, faces, renditions and members."""

from ninja import Router

from webapp.gallery.api import faces, galleries, invitations, members, moving, photos, renditions

routers: list[Router] = [
    galleries.router,
    photos.router,
    moving.router,
    faces.router,
    renditions.router,
    members.router,
    invitations.router,
]
