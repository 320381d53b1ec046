"""Flags that were given, and mean nothing beside the others."""

import click

from scaling.errors import UserError


def refuse(names: tuple[str, ...], why: str) -> None:
    """Raises UserError where one of these options of the command was given."""
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not click.core.ParameterSource.DEFAULT:
            raise UserError(f"{parameter.opts[0]} {why}.")
