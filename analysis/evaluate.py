"""What ``tinyscale evaluate`` does: a trained model judged on any text, at any checkpoint."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from scaling.checkpoint import Checkpoints
from scaling.config import RuntimeConfig
from scaling.data.batches import evaluation_batches
from scaling.data.stream import NoSplitError, encoded_files, split_of
from scaling.data.tokenizer import MOST_UNKNOWN, Tokenizer
from scaling.errors import UserError, first_line
from scaling.model.decoder import Decoder
from scaling.outputs import ready_file
from scaling.runtime import resolve
from scaling.sampling import NOT_FINITE
from scaling.tracking.folder import write_whole
from scaling.trained import Trained, find_trained

SPLITS = ("train", "validation", "test")
_LOGITS = 1 << 25  # numbers of logits held at a time
Say = Callable[[str], None]


TABLE = "evaluation_results.csv"
PLACE = ("model", "checkpoint", "step", "split")  # what tells a row from others


@dataclass(frozen=True)
class Asked:
    """What to judge a model on.

    Attributes:
        splits: of train, validation and test, of the model's own data; of several those that
            there are.
        files: a glob of other texts, in place of the splits.
        text_field: where their text is, and
        separator: what divides a .txt; None: as in the model's own files.
        checkpoints: best, last, a step, several of them with commas, or all.
        samples: documents at most of each split; None for all.
        tokens: predicted tokens at most; None for all.
        batch_size: windows of the context's length at a time.
    """

    splits: Sequence[str] = ("validation",)
    files: str | None = None
    text_field: str | None = None
    separator: str | None = None
    checkpoints: str = "best"
    samples: int | None = None
    tokens: int | None = None
    batch_size: int = 32


@dataclass(frozen=True)
class Text:
    """A stream of tokens to be judged on; `floor` is its entropy in nats per token, if known."""

    name: str
    stream: NDArray[Any]
    documents: int | None
    floor: float | None


@dataclass(frozen=True)
class Result:
    """One checkpoint on one text.

    Attributes:
        model, checkpoint, step, split: what was judged, on what.
        documents: read from the split's start, which is in random order; None of files, and of
            a number of tokens.
        tokens: predicted, each once.
        loss: nats per token.
        perplexity: its exponential; None where that overflows.
        accuracy: share of tokens that the likeliest guess meets.
        unknown: share of the tokens that stand for a character the tokenizer does not know.
        bpb: bits per byte of text; None where more than one token in a thousand is unknown. Such
            a token costs nats and covers no bytes, and is easier to guess than its character.
        floor: the corpus's entropy of these documents, nats per token; None where unknown.
    """

    model: str
    checkpoint: str
    step: int
    split: str
    documents: int | None
    tokens: int
    loss: float
    perplexity: float | None
    accuracy: float
    unknown: float
    bpb: float | None
    floor: float | None


def evaluate_model(
    name: str, asked: Asked, say: Say, runs: Path = Path("runs")
) -> tuple[Trained, list[Result]]:
    """Judges a run's checkpoints, or an exported model; answers it and the results.

    Args:
        name: a run's id, name or folder, or an exported folder.
        asked: on what, at which checkpoints.
        say: told of progress.
        runs: where the run folders are.

    Raises:
        UserError: there is no such model or checkpoint, its data has not the one split that is
            asked for, or its scores are not finite.
    """
    results = []
    for label, trained in _states(name, asked.checkpoints, runs):
        # As the run's config has it: where that leaves it to the machine, it is this one's choice.
        precision = trained.config.runtime.precision
        decoder, tokenizer = trained.load(resolve(RuntimeConfig(precision=precision)))
        for text in _texts(trained, tokenizer, asked, say):
            say(f"checkpoint {label} (step {trained.step:,}) on {text.name}")
            found = _judge(decoder, tokenizer, text, asked, trained, label)
            if found.bpb is None:
                say(
                    f"{found.unknown:.1%} of the tokens of {text.name} stand for characters that"
                    " the tokenizer does not know: bits per byte would not compare."
                )
            results.append(found)
    return trained, results


@torch.no_grad()
def _judge(
    model: Decoder,
    tokenizer: Tokenizer,
    text: Text,
    asked: Asked,
    trained: Trained,
    label: str,
) -> Result:
    """A model of one member on a text, each token but the first predicted once."""
    device = model.embedding.weight.device
    token_bytes = torch.from_numpy(tokenizer.token_bytes()).long()
    model.eval()
    nats = torch.zeros((), dtype=torch.float64, device=device)
    right = torch.zeros((), dtype=torch.long, device=device)
    tokens = covered = unknown = 0
    rows = max(1, min(asked.batch_size, _LOGITS // (model.context_length * model.vocab_size)))
    batches = evaluation_batches(text.stream, model.context_length, rows, device, asked.tokens)
    for inputs, targets in batches:
        logits = model(inputs[None])[0].float().flatten(0, 1)
        goals = targets.flatten()
        nats += F.cross_entropy(logits, goals, ignore_index=-100, reduction="sum").double()
        right += (logits.argmax(-1) == goals).sum()
        counted = goals[goals >= 0]
        tokens += counted.numel()
        covered += int(token_bytes[counted.cpu()].sum())
        if tokenizer.unknown is not None:
            unknown += int((counted == tokenizer.unknown).sum())
    if not covered:
        raise UserError(f"The {tokens:,} tokens of {text.name} stand for no text; take more.")
    loss = float(nats) / tokens
    if not math.isfinite(loss):
        raise UserError(f"{trained.label} at step {trained.step:,}: {NOT_FINITE}")
    return Result(
        trained.label,
        label,
        trained.step,
        text.name,
        text.documents if asked.tokens is None else None,
        tokens,
        loss,
        math.exp(loss) if loss < 700 else None,
        int(right) / tokens,
        unknown / tokens,
        float(nats) / math.log(2) / covered if unknown <= MOST_UNKNOWN * tokens else None,
        text.floor if asked.tokens is None else None,
    )


def as_data(results: Sequence[Result]) -> dict[str, Any]:
    """What the JSON file holds: ``model`` and ``results``, one object a checkpoint and text."""
    return {"model": results[0].model, "results": [asdict(one) for one in results]}


def write_results(results: Sequence[Result], output: Path) -> list[Path]:
    """Writes `as_data` as JSON, and its rows into ``evaluation_results.csv`` beside it, which
    keeps those of other models, checkpoints and texts.

    Raises:
        UserError: the folder cannot be written to.
    """
    answer = as_data(results)
    rows: list[dict[str, Any]] = answer["results"]
    table = output.parent / TABLE
    told = {tuple(str(row[name]) for name in PLACE) for row in rows}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        kept = [row for row in _table(table) if tuple(row[name] for name in PLACE) not in told]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows([*kept, *rows])
        write_whole(table, text.getvalue())
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}") from None
    return [output, table]


def check_output(output: Path) -> None:
    """Raise `UserError`, before anything is judged, where results cannot go there and into the
    table beside it."""
    ready_file(output)
    table = output.parent / TABLE
    if table == output:
        raise UserError(f"--output {output} is the name of the table that comes beside it.")
    _table(table)


def _table(path: Path) -> list[dict[str, str]]:
    """The rows of a table that is there. Raises `UserError` where it is another's."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        if rows.fieldnames != [field.name for field in fields(Result)]:
            raise UserError(f"{path} is another table than ours: move it away.")
        return list(rows)


def log_results(trained: Trained, results: Sequence[Result], say: Say) -> None:
    """Adds the results to the run's artifacts; a word where that fails.

    Into a folder of their own under evaluation/, so that they replace no others.
    """
    from scaling.tracking.reports import log_finding
    from scaling.tracking.store import store_errors

    if trained.run is None:
        return  # an exported model has no run here
    if trained.run_id is None:
        say("the results are not in the store, which does not know the run")
        return
    key = hashlib.sha256(json.dumps(as_data(results)).encode()).hexdigest()[:24]
    texts = dict.fromkeys(one.split if one.split in SPLITS else "files" for one in results)
    with tempfile.TemporaryDirectory() as folder:
        write_results(results, Path(folder) / "results.json")
        try:
            log_finding(
                trained.run.read_record().uri,
                trained.run_id,
                name=f"evaluation/{'-'.join(texts)}-{key[:8]}",
                key=key,
                folder=Path(folder),
                metrics={},
                step=trained.step,
            )
        except store_errors() as error:
            say(f"the results are not in the store: {first_line(error)[:160]}")


def _states(name: str, asked: str, runs: Path) -> list[tuple[str, Trained]]:
    """The model at each checkpoint asked for; `all` is every saved step. An export has one."""
    if asked == "all":
        last = find_trained(name, "last", runs)
        steps = Checkpoints(last.run.path / "checkpoints").steps if last.run else [last.step]
        labels = [str(step) for step in steps]
    else:
        labels = asked.split(",")
    found = [(label, find_trained(name, label, runs)) for label in labels]
    return found if found[0][1].run else [("exported", found[0][1])]


def _texts(trained: Trained, tokenizer: Tokenizer, asked: Asked, say: Say) -> list[Text]:
    if asked.files is not None:
        like = trained.config.data.corpus
        stream = encoded_files(
            asked.files,
            tokenizer,
            like=like,
            text_field=asked.text_field,
            separator=asked.separator,
        )
        return [Text(asked.files, stream.tokens_array(), None, None)]
    found = []
    for name in asked.splits:
        try:
            split = split_of(
                trained.config.data, name, tokenizer, digest=trained.data_digest, say=say
            )
        except NoSplitError as error:
            if len(asked.splits) == 1:
                raise
            say(str(error))
            continue
        if asked.samples is not None:
            split = split.prefix(min(asked.samples, split.documents))
        found.append(Text(name, split.tokens_array(), split.documents, split.floor_per_token))
    return found
