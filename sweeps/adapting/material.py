"""What is learned and who writes edits of it: found and checked before anything is trained."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from scaling.adapt.config import Edit, FileTasks, StoriesTasks
from scaling.adapt.document import Document, TaskSet, check_trials
from scaling.adapt.files import digest_file
from scaling.adapt.policy import find_policy
from scaling.adapt.tasks import load_tasks
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.prompts.answer import option_stretches
from sweeps.adapting.spec import AdaptSpec


@dataclass(frozen=True)
class Material:
    """What a sweep's adaptations have in common.

    Attributes:
        tasks: as the sweep has them; of a file its whole path and its hash.
        texts: the same, loaded.
        edits: as the sweep has them; policies with their places and hashes.
    """

    tasks: StoriesTasks | FileTasks
    texts: TaskSet
    edits: tuple[Edit, ...]

    def check_texts(self, tokenizer: Tokenizer, context: int, label: str) -> None:
        """Raise `UserError` where a question outgrows the context of the baseline `label`, or its
        tokenizer does not know a character: to learn that would be to learn to say <unk>."""
        for document in (*self.texts.documents, *self.texts.practice):
            if strange := _strange(tokenizer, document):
                raise UserError(
                    f"{label}: {document.id} has characters that its tokenizer does not know:"
                    f" {' '.join(strange)}; leave them out, or adapt a baseline that knows them."
                )
            for item in document.questions:
                long = max(len(one.ids) - 1 for one in option_stretches(tokenizer, item))
                if long > context:
                    raise UserError(
                        f"{label}: question {item.id} of {document.id} takes {long} tokens with"
                        f" its answer, and the baseline's context is {context}; leave the question"
                        " out, or adapt a baseline of a longer context."
                    )


def _strange(tokenizer: Tokenizer, document: Document) -> list[str]:
    """The characters of a document's texts and questions that a tokenizer has no token for."""
    if tokenizer.unknown is None:
        return []
    texts = [document.passage, document.continuation, document.trial or ""]
    texts += [text for item in document.questions for text in (item.prompt, *item.options)]
    return sorted(letter for letter in set("".join(texts)) if not tokenizer.knows(letter))


def find_material(spec: AdaptSpec) -> Material:
    """The material of a sweep.

    Raises:
        UserError: tasks or a policy are not what they should be.
    """
    tasks = spec.tasks
    if isinstance(tasks, FileTasks):
        tasks = tasks.model_copy(
            update={"file": str(Path(tasks.file).expanduser().absolute()),
                    "digest": digest_file(tasks.file)}
        )  # fmt: skip
    texts = load_tasks(tasks)
    edits = tuple(_found(edit, Path(spec.tracking.folder)) for edit in spec.edits)
    for edit in edits:
        check_trials(texts, edit.candidates, edit.rounds)
    for (told, one), (again, other) in combinations(zip(spec.edits, edits, strict=True), 2):
        if one.model_copy(update={"policy": other.policy}) == other:
            raise UserError(
                f"edits: policies {told.policy} and {again.policy} are the same model."
            )
    return Material(tasks, texts, edits)


def _found(edit: Edit, runs: Path) -> Edit:
    """An edit with its policy's place and hash."""
    if edit.policy is None:
        return edit
    place, digest = find_policy(edit.policy, runs)
    return edit.model_copy(update={"policy": str(place), "digest": digest})
