"""What an API request may bring: parameters that an operation does not know are refused."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from webapp.http.problems import Problem

#: Names longer than that are shortened in the answer.
SHOWN_CHARACTERS: Final = 50
#: What a form of a page has besides its own fields.
CSRF_FIELD: Final = "csrfmiddlewaretoken"


def only_known_parameters(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let an operation refuse query parameters, form fields and files that it does not know, or that it takes once.

    For `NinjaAPI.add_decorator`. Fields of a JSON body are for its schema to refuse: see JsonIn.
    """
    models = view._ninja_operation.models  # type: ignore[attr-defined]  # ninja notes it there
    query, form, files = (_Known(models, source) for source in ("query", "form", "file"))

    @wraps(view)
    def checked(request: HttpRequest, **values: Any) -> Any:
        query.check(request.GET)
        if form.names or files.names:
            for name in files.names.intersection(request.POST):
                raise Problem("invalid_request", f"“{name}” must be a file.", status=422)
            form.check(request.POST, besides=(CSRF_FIELD,))
            files.check(request.FILES)
        return view(request, **values)

    return checked


class _Known:
    """The parameters that an operation knows from one source."""

    def __init__(self, models: Iterable[Any], source: str) -> None:
        self.names: set[str] = set()
        self._lists: set[str] = set()
        for model in models:
            if model.__ninja_param_source__ == source:
                fields = {field.alias or name for name, field in model.model_fields.items()}
                self.names |= set(getattr(model, "__ninja_flatten_map__", fields))
                self._lists |= set(model.__ninja_collection_fields__)

    def check(self, given: MultiValueDict[str, Any], besides: Iterable[str] = ()) -> None:
        """Raise Problem (`unknown_parameter`, `repeated_parameter`)."""
        for name, values in given.lists():
            if name not in self.names and name not in besides:
                raise unknown_parameter(name)
            if len(values) > 1 and name not in self._lists:
                raise Problem("repeated_parameter", f"“{_shown(name)}” may be given once only.", status=422)


def unknown_parameter(name: str) -> Problem:
    return Problem("unknown_parameter", f"There is no parameter “{_shown(name)}” here.", status=422)


def _shown(name: str) -> str:
    printable = "".join(char if char.isprintable() else "?" for char in name)
    return printable if len(printable) <= SHOWN_CHARACTERS else printable[:SHOWN_CHARACTERS] + "…"
