"""Self-edits: from a passage to the text that is trained on (arXiv:2506.10943).

Every edit holds the passage itself. Besides, the policy writes `pieces` texts:

    verbatim      none
    continuation  what comes after the passage; the passage before it is read, not predicted
    restatement   the passage retold: what comes after the passage and its first sentence again
    questions     a question and what follows it, after the passage and `"What`, `"Where`, ...
                  (for passages in English)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scaling.adapt.config import Edit
from scaling.adapt.policy import Continuation, Policy
from scaling.adapt.stream import Text, whole
from scaling.data.tokenizer import Tokenizer
from scaling.sampling import SamplingSettings

# A full stop of scripts with no space between sentences, or one of others and a space.
SENTENCE_END = re.compile(r"(?<=[。！？])(?=.)|(?<=[.!?؟।])\s", re.DOTALL)
CUES = ('"What', '"Where', '"Who', '"How')


@dataclass(frozen=True)
class Prompt:
    """What the policy goes on from, and how the text begins that is made of it.

    Attributes:
        text: all that the policy reads.
        read: the part of it that stands before the edit's text and is not predicted.
        begins: the part that the edit's text begins with.
    """

    text: str
    read: str
    begins: str


@dataclass(frozen=True)
class Written:
    """One edit of a passage: what was written, and the tokens that it is trained on as."""

    passage: str
    pieces: tuple[tuple[Prompt, Continuation], ...] = ()

    def texts(self, tokenizer: Tokenizer, context: int) -> list[Text]:
        """The training text: the passage whole, then each piece that is not empty and of which
        the tokenizer knows every character: else <unk> would be learned."""
        found = whole(tokenizer, self.passage, context)
        for prompt, written in self.pieces:
            text = prompt.begins + written.text
            if written.text.strip() and tokenizer.knows(text):
                found += learned(tokenizer, prompt.read, text, context, ended=written.ended)
        return found

    def shown(self) -> list[str]:
        """The pieces as people read them."""
        return [prompt.begins + written.text for prompt, written in self.pieces]


def prompts_of(edit: Edit, passage: str) -> list[Prompt]:
    """What the policy is given for one edit of a passage; nothing for a verbatim one."""
    match edit.kind:
        case "verbatim":
            return []
        case "continuation":
            return [Prompt(passage, passage, "")] * edit.pieces
        case "restatement":
            first = SENTENCE_END.split(passage, maxsplit=1)[0]
            return [Prompt(f"{passage}\n{first}", "", first)] * edit.pieces
        case "questions":
            cues = [CUES[i % len(CUES)] for i in range(edit.pieces)]
            return [Prompt(f"{passage}\n{cue}", "", cue) for cue in cues]


def write_edits(
    policy: Policy, edit: Edit, passages: Sequence[str], seeds: Sequence[int]
) -> list[Written]:
    """One edit of each passage, drawn from its own seed."""
    asked = [(i, prompt) for i, text in enumerate(passages) for prompt in prompts_of(edit, text)]
    if not asked:
        return [Written(passage) for passage in passages]
    settings = SamplingSettings(max_tokens=edit.max_tokens, temperature=edit.temperature)
    of_piece = [(seeds[i] * 1_000_003 + n) % 2**63 for n, (i, _) in enumerate(asked)]
    texts = policy.write([prompt.text for _, prompt in asked], of_piece, settings)
    pieces: list[list[tuple[Prompt, Continuation]]] = [[] for _ in passages]
    for (i, prompt), text in zip(asked, texts, strict=True):
        pieces[i].append((prompt, text))
    return [Written(passage, tuple(own)) for passage, own in zip(passages, pieces, strict=True)]


def learned(
    tokenizer: Tokenizer, read: str, text: str, context: int, *, ended: bool
) -> list[Text]:
    """A text that is predicted after another that is only read, and its end where it has one.

    Where both together outgrow the context, the end of what is read is kept, as much as fits, and
    a text that outgrows it alone is cut.
    """
    if not read:
        return whole(tokenizer, text, context, ended=ended)
    own = [*tokenizer.encode(text), *([tokenizer.eot] if ended else [])][:context]
    before = tokenizer.encode(read)
    room = max(context + 1 - len(own) - 1, 0)
    kept = before[len(before) - min(len(before), room) :]
    return [Text((tokenizer.eot, *kept, *own), 1 + len(kept))]
