"""The database tasks of people, run by the records worker."""

from celery import shared_task

from tasks import names
from webapp.people.services import faceless_people_delete


@shared_task(name=names.DELETE_FACELESS_PEOPLE, ignore_result=True)
def delete_faceless_people() -> None:
    """Delete people whose last face is gone."""
    faceless_people_delete()
