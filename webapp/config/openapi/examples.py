"""Examples for the document: one value per name of a field or parameter, since a name means one thing everywhere."""

from typing import Any, Final

_GALLERY: Final = "0d8cf52b-3a0e-4f5e-9c2c-6f4f0b2f7a11"
_PHOTO: Final = "5f0c8a52-8a46-4c8e-8a55-0c7f1f6f6d3b"
_FACE: Final = "b3a4f0a6-60f2-5c5f-9c57-7f2f3b0c9d21"
_PERSON: Final = "c2f4c1de-5b7a-4e0a-9a44-0c2b7c1f8e90"
_JOB: Final = "7a1c9e7e-2b35-4c59-8f0d-3d3c2b1a0f9e"
_MOMENT: Final = "2026-01-31T09:30:00Z"

EXAMPLES: Final[dict[str, Any]] = {
    "activated_at": _MOMENT,
    "bottom": 241.5,
    "cancelled": 0,
    "chosen_rate": 12.5,
    "code": "not_found",
    "collection": "faces_dlib",
    "compared": 200,
    "confirm": False,
    "created": _MOMENT,
    "deleting": 0,
    "detail": "There is no such photo.",
    "dimension": 128,
    "duplicated": [],
    "duplicated_count": 0,
    "face_count": 1,
    "face_id": _FACE,
    "faces": "all",
    "failed": 1,
    "filename": "ada.jpg",
    "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "finished_at": _MOMENT,
    "following": 0,
    "gallery_id": _GALLERY,
    "gallery_name": "Friends",
    "gone": 0,
    "height": 1200,
    "image_format": "JPEG",
    "index_params": {"nlist": 1024},
    "index_type": "IVF_FLAT",
    "indexed": 118,
    "is_confirmed": False,
    "is_consistent": True,
    "is_dropping": False,
    "is_finished": True,
    "is_found": True,
    "is_open": True,
    "is_paused": False,
    "is_repair": False,
    "job_id": _JOB,
    "kind": "import",
    "left": 102.0,
    "limit": 10,
    "match_recall": 0.998,
    "message": "No face was found.",
    "metric_type": "COSINE",
    "min_similarity": 0.6,
    "missing": 0,
    "missing_count": 0,
    "name": "Ada Lovelace",
    "new_similarity": 0.74,
    "no_faces": 3,
    "number": 2,
    "old_similarity": 0.71,
    "orphaned": [],
    "orphaned_count": 0,
    "override": ["match recall"],
    "pack": "dlib",
    "page": 1,
    "pages": 1,
    "pending": 2,
    "person": "Ada Lovelace",
    "person_id": _PERSON,
    "photo": "ada.jpg",
    "photo_id": _PHOTO,
    "previous": {"nprobe": 128},
    "quality": 0.82,
    "rate": 4.2,
    "rate_limit": 20.0,
    "recall_after": 0.998,
    "recall_before": 0.997,
    "result": "added",
    "retired_at": None,
    "right": 198.0,
    "score": 0.97,
    "search_params": {"nprobe": 256},
    "seconds_left": 12.5,
    "settled_at": _MOMENT,
    "similarity": 0.87,
    "started_at": _MOMENT,
    "state": "indexed",
    "status": 404,
    "ticket": "eyJzIjoiNWYwYzhhNTIifQ:1vO0aB:3kq0Xc",
    "title": "Not Found",
    "top": 120.5,
    "total": 124,
    "type": "about:blank",
    "wait": 10,
    "warning": "",
    "width": 1600,
    "workers": {"search.dlib": 2, "reindex.dlib": 1},
}
#: Where a name needs another value: by schema and field, or by operation and parameter.
EXCEPTIONS: Final[dict[str, Any]] = {
    "CheckOut.missing": [],
    "GalleryIn.name": "Friends",
    "GalleryOut.id": _GALLERY,
    "GalleryOut.name": "Friends",
    "FaceOut.id": _FACE,
    "GateOut.name": "match recall",
    "GateOut.detail": "The match recall is 0.998, at least 0.99 is needed.",
    "GenerationDetailOut.state": "ready",
    "GenerationOut.state": "ready",
    "JobOut.id": _JOB,
    "JobOut.state": "running",
    "PersonOut.id": _PERSON,
    "PhotoDetailOut.id": _PHOTO,
    "PhotoOut.id": _PHOTO,
    "PhotoOut.code": "",
    "PhotoOut.message": "",
    "PhotoDetailOut.code": "",
    "PhotoDetailOut.message": "",
    "FileOut.code": "",
    "FileOut.message": "",
    "FileOut.state": "pending",
    "DeletionOut.state": "deleting",
    "ErrorOut.code": "no_face",
    "TrialOut.state": "kept",
    "TrialOut.detail": "The new parameters find as many matches.",
    "list_photos.state": "indexed",
    "start_search.gallery_id": [_GALLERY],
}


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to every field of every schema and to every parameter, except where they are other schemas'."""
    for schema_name, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            _add(field, schema_name, name)
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                _add(parameter["schema"], operation["operationId"], parameter["name"])


def _add(field: dict[str, Any], owner: str, name: str) -> None:
    for key, examples in ((f"{owner}.{name}", EXCEPTIONS), (name, EXAMPLES)):
        if key in examples:
            field["examples"] = [examples[key]]
            return
