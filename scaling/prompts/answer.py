"""A model asked the items of a prompt set."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch

from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.prompts.item import Item, PromptSet
from scaling.prompts.match import PatternTimeoutError, passes, spaceless
from scaling.sampling import NOT_FINITE, SamplingSettings, continue_ids, given, opened
from scaling.scoring import Stretch, log_probabilities

ROWS = 256  # prompts that are written to at a time
GIVEN_UP = "was given up after its time limit"
CUT = "its beginning was left out: with its answer it is longer than the model's context"
_OPENS = "“‘([{「『（《"
_CLOSES = ".,;:!?…%)]}’'”。，、；：！？」』）》"  # or goes on


@dataclass(frozen=True)
class AskSettings:
    """How answers are written; what is judged by probability knows of none of it."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    num_samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"num-samples is {self.num_samples}, but it is at least 1.")
        self.sampling(1)

    def sampling(self, max_tokens: int) -> SamplingSettings:
        """The same, for an answer of so many tokens."""
        return SamplingSettings(
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
        )

    def as_dict(self) -> dict[str, float | int | None]:
        """For a record."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """One answer to one item."""

    item: Item
    sample: int
    text: str  # what was written, or the likeliest of the options
    passed: bool
    p_right: float | None  # of the options, the right ones' share of probability
    log_p: float | None  # of the right answer after the prompt, in nats
    remark: str = ""

    @property
    def points(self) -> float:
        """The item's score where the answer passes."""
        return self.item.score if self.passed else 0.0


def ask(
    model: Decoder, tokenizer: Tokenizer, prompts: PromptSet, settings: AskSettings
) -> list[Answer]:
    """The answers to every item, in its order (and each item's samples in theirs)."""
    judged = iter(_choose(model, tokenizer, [i for i in prompts.items if i.by_probability]))
    written = iter(
        _write(model, tokenizer, [i for i in prompts.items if not i.by_probability], settings)
    )
    answers: list[Answer] = []
    for item in prompts.items:
        if item.by_probability:
            answers.append(next(judged))
        else:
            answers += [next(written) for _ in range(settings.num_samples)]
    return answers


def joined(prompt: str, option: str) -> str:
    """The text of a prompt with an option after it.

    A space comes between, but not where there is one, nor after what opens (a bracket, a quotation
    mark), nor before what closes or goes on (these, a comma, an apostrophe; but no minus), nor
    beside a letter of a script that has none between words. Of the quotation marks " the odd ones
    open.
    """
    last, first = prompt[-1:], option[:1]
    quoted = '"' if prompt.count('"') % 2 else ""  # opens as the prompt's last, closes as the next
    bare = (
        last.isspace()
        or first.isspace()
        or last in _OPENS + quoted
        or first in _CLOSES + quoted
        or spaceless(last)
        or spaceless(first)
    )
    return f"{prompt}{option}" if bare else f"{prompt} {option}"


def option_stretches(tokenizer: Tokenizer, item: Item) -> list[Stretch]:
    """The texts of an item with each of its options, of which the options are asked for."""
    # Ids of the whole texts: where a word would be cut by the prompt's end, it is not.
    bare = [tokenizer.eot, *tokenizer.encode(item.prompt.rstrip(" "))]
    wholes = [
        [tokenizer.eot, *tokenizer.encode(joined(item.prompt, option))] for option in item.options
    ]
    start = max(1, min(_shared(bare, whole) for whole in wholes))
    return [Stretch(whole, start) for whole in wholes]


def choice(item: Item, logs: Sequence[float]) -> Answer:
    """The answer to an item by log p of each of its options, in nats.

    It passes where a right option is likelier than every wrong one: a tie is no answer. Where one
    of the numbers is not finite nothing was chosen, and nothing has a probability.
    """
    if not all(map(math.isfinite, logs)):
        return Answer(item, 0, text="", passed=False, p_right=None, log_p=None, remark=NOT_FINITE)
    total = math.log(sum(math.exp(log - max(logs)) for log in logs)) + max(logs)
    right = logs[: len(item.answers)]
    best = max(range(len(logs)), key=lambda i: (logs[i], i))  # wrong ones are last, and win ties
    return Answer(
        item=item,
        sample=0,
        text=item.options[best],
        passed=best < len(item.answers),
        p_right=min(1.0, sum(math.exp(log - total) for log in right)),
        log_p=max(right),
    )


def _choose(model: Decoder, tokenizer: Tokenizer, items: Sequence[Item]) -> list[Answer]:
    context = model.context_length
    whole = [option_stretches(tokenizer, item) for item in items]
    fitted = [_fitted(options, context) for options in whole]
    stretches = [one for options in fitted for one in options]
    sums = iter([float(p.double().sum()) for p in log_probabilities(model, stretches)])
    answers = [choice(item, [next(sums) for _ in item.options]) for item in items]
    return [
        replace(answer, remark=answer.remark or (CUT if after != before else ""))
        for answer, before, after in zip(answers, whole, fitted, strict=True)
    ]


def _fitted(options: Sequence[Stretch], context: int) -> list[Stretch]:
    """An item's options after one and the same end of its prompt: as much of it as fits with the
    longest option, or half the context, where that option leaves less."""
    start = options[0].start
    inputs = max(len(option.ids) for option in options) - 1
    cut = min(max(0, inputs - context), max(0, start - context // 2))
    return [Stretch(option.ids[cut:], start - cut) for option in options]


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two texts begin with alike."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def _write(
    model: Decoder, tokenizer: Tokenizer, items: Sequence[Item], settings: AskSettings
) -> list[Answer]:
    together: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    encoded = [opened(tokenizer, item.prompt) for item in items]
    for i, item in enumerate(items):
        for sample in range(settings.num_samples):
            together[len(encoded[i]), item.max_tokens].append((i, sample))
    texts: dict[tuple[int, int], str] = {}
    cut: set[tuple[int, int]] = set()
    device, context = model.embedding.weight.device, model.context_length
    for (length, max_tokens), asked in together.items():
        sampling = settings.sampling(max_tokens)
        read = given(length, sampling, context)
        for first in range(0, len(asked), ROWS):
            rows = asked[first : first + ROWS]
            new = continue_ids(
                model,
                torch.tensor([encoded[i] for i, _ in rows], device=device),
                sampling,
                [_stream(items[i], sample, settings.seed) for i, sample in rows],
                tokenizer.eot,
                cached=True,
            )
            for row, ids in zip(rows, new, strict=True):
                texts[row] = tokenizer.decode(ids)
                if read < length or length + len(ids) - 1 > context:
                    cut.add(row)
    answers = [
        (row, _judged(items[row[0]], row[1], texts[row]))
        for row in ((i, k) for i in range(len(items)) for k in range(settings.num_samples))
    ]
    return [
        replace(answer, remark=answer.remark or CUT) if row in cut else answer
        for row, answer in answers
    ]


def _stream(item: Item, sample: int, seed: int) -> torch.Generator:
    """An item's draws, which do not depend on what else is asked."""
    digest = hashlib.sha256(f"{seed}/{item.id}/{sample}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))


def _judged(item: Item, sample: int, text: str) -> Answer:
    for stop in item.stop:
        text = text.split(stop, 1)[0]
    answer = Answer(item=item, sample=sample, text=text, passed=False, p_right=None, log_p=None)
    kind = item.match or "contains"
    try:
        passed = any(passes(text, wanted, kind, item.case_sensitive) for wanted in item.answers)
    except PatternTimeoutError as error:
        return replace(answer, remark=f"the pattern {error} {GIVEN_UP}")
    return replace(answer, passed=passed)
