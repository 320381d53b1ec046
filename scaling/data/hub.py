"""The Hugging Face hub: what a repository's revision is, and its files, or one quick sentence.

The libraries retry for half a minute where there is no network; here it is asked once, for at
most five seconds, before anything is left to them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from scaling.errors import UserError

_log = logging.getLogger(__name__)

RepoType = Literal["dataset", "model"]
_TIMEOUT = 5.0


def revision_on_hub(repo: str, repo_type: RepoType, revision: str | None) -> str | None:
    """The commit that `revision` (else the main branch) is on the hub; None: no answer from it.

    Raises UserError where the hub answers that there is no such repository or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().repo_info(repo, repo_type=repo_type, revision=revision, timeout=_TIMEOUT)
    except RevisionNotFoundError as error:
        raise UserError(f"{repo} on the Hugging Face hub has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"there is no {repo_type} {repo} on the Hugging Face hub (or it is not"
            " open to you), nor a local folder of that name"
        ) from error
    except Exception as error:  # offline mode, no name service, refused, timed out: many classes
        _log.warning("the Hugging Face hub does not answer: %s", error)
        return None
    return info.sha


def revision_in_cache(repo: str, repo_type: RepoType, revision: str | None) -> str | None:
    """The commit that `revision` (else main) was when the local cache last heard of it."""
    from huggingface_hub import constants

    if revision is not None and _is_commit(revision):
        return revision
    name = f"{repo_type}s--" + repo.replace("/", "--")
    ref = Path(constants.HF_HUB_CACHE) / name / "refs" / (revision or "main")
    return ref.read_text().strip() if ref.is_file() else None


def hub_file(
    repo: str, name: str, *, repo_type: RepoType, revision: str | None, instead: str
) -> Path:
    """A file of a repository, from the local cache or downloaded into it.

    Raises UserError, ending in `instead` (what else to do), where neither is possible.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with suppress(LocalEntryNotFoundError):  # not in the cache: the hub is asked
        return Path(
            hf_hub_download(
                repo, name, repo_type=repo_type, revision=revision, local_files_only=True
            )
        )
    if revision_on_hub(repo, repo_type, revision) is None:
        raise unreachable(repo, instead)
    try:
        return Path(hf_hub_download(repo, name, repo_type=repo_type, revision=revision))
    except EntryNotFoundError as error:
        raise UserError(f"{repo} on the Hugging Face hub has no file {name}") from error


def unreachable(repo: str, instead: str) -> UserError:
    """The error for a hub that does not answer and a cache that does not have it."""
    return UserError(
        f"{repo} is not in the local Hugging Face cache and the hub cannot be reached"
        f" (no network, or offline mode is set): {instead}"
    )


@contextmanager
def offline() -> Iterator[None]:
    """Keep the Hugging Face libraries to their caches, which they then use without retries."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)
