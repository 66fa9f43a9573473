"""Finding: what one check says. Readiness, `doctor`, the status page and the metrics all read one list of these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The state of one thing the service depends on, and what to do when it is not well."""

    #: Stable, and unique in the list: a metric carries it as its label.
    name: str
    ok: bool
    #: What was seen, for a person.
    detail: str
    #: What to do; empty when it is ok.
    remedy: str = ""
    #: The number behind it, in the unit that `detail` names; None when there is none.
    value: float | None = None
    #: Whether requests cannot be served while it is not ok.
    is_critical: bool = False

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do, in one line."""
        return f"{self.name}: {self.detail}{'' if self.detail.endswith('.') else '.'} {self.remedy}".rstrip()
