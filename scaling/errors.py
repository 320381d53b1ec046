"""The one error that a user's own mistake raises."""


class UserError(Exception):
    """A mistake of the user's: shown as one sentence, exit code 2."""
