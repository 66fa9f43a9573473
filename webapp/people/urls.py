from django.urls import path

from webapp.people import views

urlpatterns = [
    path("faces/<uuid:face_id>/name/", views.face_name, name="face_name"),
]
