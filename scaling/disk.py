"""A disk that is full: told apart from other errors, and said in a sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from scaling.errors import UserError

# The words of the system, which libraries such as safetensors hand on without its number, and
# those of `scaling.data.cache`.
OUT_OF_ROOM = (
    "No space left on device",
    "Disk quota exceeded",
    "there is no room for the prepared data",
)


def is_full(error: BaseException) -> bool:
    """Whether an error, or one it comes from, says that there is no room or no more quota."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return says_full(str(error)) or (error.__cause__ is not None and is_full(error.__cause__))


def says_full(text: str) -> bool:
    """Whether the text of an error is that of a full disk."""
    return any(words in text for words in OUT_OF_ROOM)


@contextmanager
def full_disk_is_said(then: str) -> Iterator[None]:
    """Raise `UserError` in place of the error of a full disk; `then` is what made room is for."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise UserError(f"the disk is full ({error}); make room, and {then}.") from error
