"""The tasks that a config names."""

from scaling.adapt.config import FileTasks, StoriesTasks
from scaling.adapt.document import TaskSet
from scaling.adapt.files import read_tasks
from scaling.adapt.stories import documents


def load_tasks(config: StoriesTasks | FileTasks) -> TaskSet:
    """The tasks of a config.

    Raises:
        UserError: a file of tasks is amiss.
    """
    if isinstance(config, FileTasks):
        return read_tasks(config.file)
    made = documents(config.seed, config.documents + config.practice, config.facts)
    return TaskSet(made[: config.documents], made[config.documents :])
