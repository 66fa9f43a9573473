from django.urls import path

from webapp.gallery.views import galleries, grid, invitations, members, photos, pictures, selection, uploads

urlpatterns = [
    path("", galleries.gallery_list, name="gallery_list"),
    path("galleries/<uuid:gallery_id>/", grid.gallery_detail, name="gallery_detail"),
    path("galleries/<uuid:gallery_id>/grid/", grid.gallery_grid, name="gallery_grid"),
    path("galleries/<uuid:gallery_id>/changes/", grid.gallery_changes, name="gallery_changes"),
    path("galleries/<uuid:gallery_id>/photos/", uploads.photos_upload, name="photos_upload"),
    path("galleries/<uuid:gallery_id>/retry/", galleries.failed_retry, name="failed_retry"),
    path("galleries/<uuid:gallery_id>/rename/", galleries.gallery_rename, name="gallery_rename"),
    path("galleries/<uuid:gallery_id>/delete/", galleries.gallery_delete, name="gallery_delete"),
    path("galleries/<uuid:gallery_id>/selected/delete/", selection.selected_delete, name="selected_delete"),
    path("galleries/<uuid:gallery_id>/selected/move/", selection.selected_move, name="selected_move"),
    path("galleries/<uuid:gallery_id>/selected/retry/", selection.selected_retry, name="selected_retry"),
    path("photos/<uuid:photo_id>/move/", selection.photo_move, name="photo_move"),
    path("galleries/<uuid:gallery_id>/members/", members.member_list, name="member_list"),
    path("galleries/<uuid:gallery_id>/members/<uuid:member_id>/", members.member_change, name="member_change"),
    path("galleries/<uuid:gallery_id>/members/<uuid:member_id>/remove/", members.member_remove, name="member_remove"),
    path("galleries/<uuid:gallery_id>/download/", members.download_allow, name="download_allow"),
    path("galleries/<uuid:gallery_id>/leave/", members.gallery_leave, name="gallery_leave"),
    path("galleries/<uuid:gallery_id>/transfer/", members.gallery_transfer, name="gallery_transfer"),
    path("galleries/<uuid:gallery_id>/invitations/", members.invitation_create, name="invitation_create"),
    path(
        "galleries/<uuid:gallery_id>/invitations/<uuid:invitation_id>/revoke/",
        invitations.invitation_revoke,
        name="invitation_revoke",
    ),
    # Before the tokens, of which it is none: they are longer.
    path("invitations/accept/", invitations.invitation_accept, name="invitation_accept"),
    path("invitations/<str:token>/", invitations.invitation, name="invitation"),
    path("photos/<uuid:photo_id>/", photos.photo_detail, name="photo_detail"),
    path("photos/<uuid:photo_id>/thumbnail/<str:digest>.jpg", pictures.photo_thumbnail, name="photo_thumbnail"),
    path("photos/<uuid:photo_id>/preview/<str:digest>.jpg", pictures.photo_preview, name="photo_preview"),
    path("faces/<uuid:face_id>/crop/<str:digest>.jpg", pictures.face_crop, name="face_crop"),
    path("photos/<uuid:photo_id>/original/", photos.photo_original, name="photo_original"),
    path("photos/<uuid:photo_id>/retry/", photos.photo_retry, name="photo_retry"),
    path("photos/<uuid:photo_id>/delete/", photos.photo_delete, name="photo_delete"),
]
