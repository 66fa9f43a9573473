"""What tests of accounts share."""

from tests.addresses import turn_on

__all__ = ["turn_on"]
