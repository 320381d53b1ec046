"""What there is to learn, and how it is checked."""

from dataclasses import dataclass, field

from scaling.errors import UserError
from scaling.prompts.item import Item


@dataclass(frozen=True)
class Document:
    """One passage with its checks; none of them is ever trained on.

    Attributes:
        id: its name.
        passage: what is to be learned.
        continuation: held-out text that the passage helps with; its loss is the outcome.
        trial: other held-out text, by which candidates are chosen: choosing by the outcome itself
            would flatter it. Empty where a file has none.
        questions: items that the passage decides, judged by probability.
    """

    id: str
    passage: str
    continuation: str
    trial: str = ""
    questions: tuple[Item, ...] = field(default=())


@dataclass(frozen=True)
class TaskSet:
    """Documents that are adapted to, and others that the policy is trained on."""

    documents: tuple[Document, ...]
    practice: tuple[Document, ...] = ()


def check_trials(tasks: TaskSet, candidates: int, rounds: int) -> None:
    """Raise `UserError` where tasks lack what choosing among candidates, or rounds, need."""
    choosing = [*(tasks.documents if candidates > 1 else ()), *(tasks.practice if rounds else ())]
    if rounds and not tasks.practice:
        raise UserError(
            "rounds train the policy on practice passages, and the tasks have none; raise"
            " tasks.practice, or mark some of a file with `practice: true`."
        )
    lacking = next((one for one in choosing if not one.trial), None)
    if lacking is not None:
        raise UserError(
            f"{lacking.id} has no `trial` text, by which one of several candidates is chosen."
        )
