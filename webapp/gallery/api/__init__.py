"""The API of galleries, photos and members."""

from ninja import Router

from webapp.gallery.api import galleries, moving, photos

routers: list[Router] = [galleries.router, photos.router, moving.router]
