"""A logged-in user of the real web process, over HTTP."""

from collections.abc import Mapping
from typing import Any

import httpx

USERNAME = "alice"
PASSWORD = "correct horse battery staple"


class WebClient:
    """Session login with CSRF, as a browser does it; then the JSON API."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=150)
        self.log_in()
        self.headers = {"X-CSRFToken": self.http.cookies["csrftoken"]}

    def log_in(self) -> None:
        self.http.get("/login/").raise_for_status()
        form = {"username": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        answer = self.http.post("/login/", data=form)
        assert answer.status_code == 302, answer.text

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(f"/api/v1{path}", params=params)
        answer.raise_for_status()
        return answer.json()

    def create_gallery(self, name: str) -> str:
        answer = self.http.post("/api/v1/galleries", json={"name": name}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        gallery_id: str = answer.json()["id"]
        return gallery_id

    def upload(self, gallery_id: str, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
        files = [("files", (name, content)) for name, content in pictures.items()]
        answer = self.http.post(f"/api/v1/galleries/{gallery_id}/photos", files=files, headers=self.headers)
        assert answer.status_code == 202, answer.text
        results: list[dict[str, Any]] = answer.json()["files"]
        return results

    def progress(self, gallery_id: str) -> dict[str, int]:
        counts: dict[str, int] = self.get(f"/galleries/{gallery_id}/progress")
        return counts

    def photos(self, gallery_id: str) -> dict[str, dict[str, Any]]:
        """All photos by file name."""
        found: dict[str, dict[str, Any]] = {}
        cursor = ""
        while cursor is not None:
            part = self.get(f"/galleries/{gallery_id}/photos", cursor=cursor)
            found |= {photo["filename"]: photo for photo in part["items"]}
            cursor = part["next_cursor"]
        return found

    def search(self, gallery_id: str, image: bytes, *, wait_seconds: float = 120, **params: Any) -> httpx.Response:
        return self.http.post(
            f"/api/v1/galleries/{gallery_id}/searches",
            params={"wait": wait_seconds, **params},
            files={"image": ("query.jpg", image)},
            headers=self.headers,
        )

    def delete_photo(self, photo_id: str) -> None:
        answer = self.http.delete(f"/api/v1/photos/{photo_id}", headers=self.headers)
        assert answer.status_code == 202, answer.text
