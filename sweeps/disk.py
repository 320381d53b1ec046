"""A disk that is full: told apart from other errors, and said in a sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from scaling.errors import UserError


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room, or no more of one's quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_is_said() -> Iterator[None]:
    """Raise `UserError` in place of the error of a full disk."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise UserError(
            f"the disk is full ({error}); make room, and the same command goes on."
        ) from error
