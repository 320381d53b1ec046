"""The one error that a user's own mistake raises, and what others say."""


class UserError(Exception):
    """A mistake of the user's: shown as one sentence, exit code 2."""


def first_line(error: BaseException) -> str:
    """What an error says first; its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
