"""The database tasks of people, run by the records worker."""

from tasks import names
from webapp.people.services import faceless_people_delete
from webapp.record_tasks import long_tick


@long_tick(names.DELETE_FACELESS_PEOPLE)
def delete_faceless_people() -> None:
    """Delete people whose last face is gone."""
    faceless_people_delete()
