from django.urls import path

from webapp.gallery import views

urlpatterns = [
    path("", views.gallery_list, name="gallery_list"),
    path("galleries/<uuid:gallery_id>/", views.gallery_detail, name="gallery_detail"),
    path("galleries/<uuid:gallery_id>/grid/", views.gallery_grid, name="gallery_grid"),
    path("galleries/<uuid:gallery_id>/photos/", views.photos_upload, name="photos_upload"),
    path("galleries/<uuid:gallery_id>/retry/", views.failed_retry, name="failed_retry"),
    path("galleries/<uuid:gallery_id>/delete/", views.gallery_delete, name="gallery_delete"),
    path("photos/<uuid:photo_id>/", views.photo_detail, name="photo_detail"),
    path("photos/<uuid:photo_id>/file/", views.photo_file, name="photo_file"),
    path("photos/<uuid:photo_id>/retry/", views.photo_retry, name="photo_retry"),
    path("photos/<uuid:photo_id>/delete/", views.photo_delete, name="photo_delete"),
]
