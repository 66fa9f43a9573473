"""Face searches: pages, API, and FaceSearchService for other code of this process."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Not imported above: Django imports this package before it has loaded the models that the service needs.
    if name == "FaceSearchService":
        from webapp.search.face_search_service import FaceSearchService

        return FaceSearchService
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
