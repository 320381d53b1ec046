"""Where a store is: its URI, whether there is one, and how it is shown."""

import os
import re
from pathlib import Path

from scaling.errors import UserError


def tracking_uri(given: str | None = None) -> str:
    """The store in use: as given, else MLFLOW_TRACKING_URI, else a sqlite file in this folder."""
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    prefix = "sqlite:///"
    if "://" not in uri and Path(uri).suffix in (".db", ".sqlite", ".sqlite3"):
        raise UserError(f"the store {uri} is the name of a file; as a store it is {prefix}{uri}.")
    if uri.startswith(prefix) and not uri.startswith(prefix + "/"):
        # Absolute, so that the run's record means the same file from anywhere.
        return prefix + str(Path(uri.removeprefix(prefix)).resolve())
    return uri


def is_missing(uri: str) -> bool:
    """Whether a database, MLflow's or Optuna's, is a sqlite file that is not there yet.

    To look into one would make it. A URL may have options (`?timeout=60`); of another database, or
    of a file that sqlite is to find by a URI of its own, only a look tells.
    """
    file = uri.removeprefix("sqlite:///").partition("?")[0]
    return (
        uri.startswith("sqlite:///") and not file.startswith("file:") and not Path(file).exists()
    )


def existing(uri: str) -> str:
    """A store's URI; raises OSError where it `is_missing`: what is found out of a run goes into no
    new store, made for that alone."""
    if is_missing(uri):
        raise FileNotFoundError(f"there is no store at {uri}")
    return uri


def without_password(uri: str) -> str:
    """The address of a store or a study, or a flag with one, as it may be shown to others."""
    return re.sub(r"(?<=://)([^/\s:@]*):[^/\s]*@", r"\1:***@", uri)
