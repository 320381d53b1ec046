"""The tasks that a config names."""

from scaling.adapt.config import FileTasks, StoriesTasks
from scaling.adapt.document import TaskSet
from scaling.adapt.files import digest_file, read_tasks
from scaling.adapt.stories import documents
from scaling.errors import UserError


def load_tasks(config: StoriesTasks | FileTasks) -> TaskSet:
    """The tasks of a config.

    Raises:
        UserError: a file of tasks is amiss, or no longer what the config says.
    """
    if isinstance(config, FileTasks):
        if config.digest and digest_file(config.file) != config.digest:
            raise UserError(
                f"{config.file} has changed since the sweep began; start it again, and it adapts"
                " to the passages of now."
            )
        return read_tasks(config.file)
    made = documents(config.seed, config.documents + config.practice, config.facts)
    return TaskSet(made[: config.documents], made[config.documents :])
