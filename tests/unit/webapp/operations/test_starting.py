"""The demo's patience: it ends when nothing changes, however long everything takes."""

from webapp.operations.starting import Patience


def test_patience_lasts_as_long_as_something_changes() -> None:
    patience = Patience(0)
    assert patience.saw("0 of 2 pictures")
    assert not patience.saw("0 of 2 pictures")
    assert patience.is_exhausted


def test_a_change_renews_it() -> None:
    patience = Patience(3600)
    assert [patience.saw(state) for state in ("a", "b", "b", "a")] == [True, True, False, True]
    assert not patience.is_exhausted
