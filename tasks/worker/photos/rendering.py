"""The task that makes renditions of photos that were indexed before: thin. It may run twice for the same message."""

from functools import partial
from typing import Any

from celery import Task, shared_task

from tasks import names, queues
from tasks.messages.parsing import parse
from tasks.messages.renditions import Rendered, RenderedPhoto, RenderRequest
from tasks.retry import retry_or_raise
from tasks.work_queue import work_queue
from tasks.worker.photos.opening import boxes_of, opened, read, save, wanted
from tasks.worker.starts import Verdict
from tasks.worker.state import state
from worker.errors import FaceQueueError, PhotoKillsWorkers, PhotoWithdrawn
from worker.rendering import PhotoRendering, PhotoToRender


@shared_task(name=names.RENDER_PHOTOS, bind=True, ignore_result=True)
def render_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Make the renditions of a RenderRequest's photos; what became of each goes to the records worker.

    Photos that were withdrawn before they are read cost nothing and are not reported.
    """
    try:
        request = parse(RenderRequest, message)
        photos = wanted(state.withdrawn, request.gallery_id, request.photos)
        if not photos:
            return
        suspects = [f"renditions:{photo.photo_id}" for photo in photos if request.alone]
        with opened(state, str(self.request.id), suspects) as verdict:
            if verdict is Verdict.BEGUN_BEFORE:
                return
            if verdict is Verdict.GUILTY:
                guilty = PhotoKillsWorkers
                done = [
                    PhotoRendering(photo_id=photo.photo_id, code=guilty.code, message=guilty.sentence)
                    for photo in photos
                ]
            else:
                pause = state.pauses().pause
                done = state.indexes.render(
                    [
                        PhotoToRender(
                            photo_id=photo.photo_id,
                            read=partial(read, state.withdrawn, request.gallery_id, photo, pause),
                            boxes=boxes_of(photo.known_faces),
                            save=partial(save, photo.photo_id),
                        )
                        for photo in photos
                    ]
                )
        reported = tuple(
            RenderedPhoto.model_validate(each, from_attributes=True)
            for each in done
            if each.code != PhotoWithdrawn.code
        )
        if reported:
            work_queue().send(Rendered(photos=reported), queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)
