from django.urls import path

from webapp.search import views

urlpatterns = [
    path("search/", views.search_galleries, name="search_galleries"),
    path("galleries/<uuid:gallery_id>/search/", views.search_page, name="search"),
    path("faces/<uuid:face_id>/search/", views.face_search, name="face_search"),
    path("searches/<str:ticket>/", views.search_result, name="search_result"),
    path("searches/<str:ticket>/name/", views.matches_name, name="matches_name"),
]
