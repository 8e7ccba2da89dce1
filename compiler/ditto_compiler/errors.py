"""The two families of errors: the user's program is wrong, or Ditto is."""

from __future__ import annotations


class DittoError(Exception):
    """Something the user can fix; the message says what was found and what to do."""


class TraceError(DittoError):
    """What is to be compiled is no program, or what is said of its arguments does not fit them."""


class DittoWarning(UserWarning):
    """Something in a program that compiles which the user should know."""


class InternalError(Exception):
    """A bug in Ditto: an invariant that its own passes must keep did not hold."""

    def __init__(self, message: str) -> None:
        super().__init__(
            f"{message}\nThis is a bug in Ditto; please report it with the program that caused it."
        )
