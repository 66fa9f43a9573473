"""The API of galleries, photos and members."""

from ninja import Router

from webapp.gallery.api import galleries, photos

routers: list[Router] = [galleries.router, photos.router]
