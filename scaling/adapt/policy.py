"""Who writes self-edits: the baseline, another run or export, or a model of transformers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError, first_line
from scaling.export.folder import is_exported
from scaling.model.decoder import Decoder
from scaling.prompts.answer import ROWS
from scaling.runtime import Runtime
from scaling.sampling import SamplingSettings, continue_ids, opened
from scaling.tracking.folder import is_run_folder
from scaling.trained import find_trained

CAUSAL = ("ForCausalLM", "LMHeadModel")  # how transformers' causal models are called
CONFIG = "config.json"


@dataclass(frozen=True)
class Continuation:
    """What a policy has written after a prompt.

    Attributes:
        ended: it came to the end of a text; else it was cut off at so many tokens.
    """

    text: str
    ended: bool

    @classmethod
    def of(cls, text: str, ended: bool) -> "Continuation":
        """Without the half character at which it may have been cut off."""
        return cls(text if ended else text.rstrip("\N{REPLACEMENT CHARACTER}"), ended)


class Policy(Protocol):
    """Goes on from prompts."""

    def write(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplingSettings
    ) -> list[Continuation]:
        """What it writes after each prompt, drawn from the prompt's own seed."""
        ...


class OwnPolicy:
    """A decoder of one member."""

    def __init__(self, model: Decoder, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def write(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplingSettings
    ) -> list[Continuation]:
        """What it writes after each prompt; equal lengths run as one batch, up to `ROWS`."""
        eot = self.tokenizer.eot
        encoded = [opened(self.tokenizer, prompt) for prompt in prompts]
        found: dict[int, list[int]] = {}
        device = self.model.embedding.weight.device
        for length in sorted({len(ids) for ids in encoded}):
            alike = [i for i, ids in enumerate(encoded) if len(ids) == length]
            for first in range(0, len(alike), ROWS):
                rows = alike[first : first + ROWS]
                ids = torch.tensor([encoded[i] for i in rows], device=device)
                streams = [torch.Generator().manual_seed(seeds[i]) for i in rows]
                new = continue_ids(self.model, ids, settings, streams, eot, cached=True)
                found |= dict(zip(rows, new, strict=True))
        every = [found[i] for i in range(len(prompts))]
        most = settings.max_tokens
        return [Continuation.of(self.tokenizer.decode(ids), len(ids) < most) for ids in every]


class TransformersPolicy:
    """A causal model in a local folder, through transformers."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises `UserError` where the folder holds none, or transformers is not installed."""
        check_causal(folder)
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the library raises many kinds
            line = first_line(error)
            raise UserError(
                f"policy {folder}: transformers cannot load it: {line[:200]}"
            ) from None
        self.model = model.to(device).eval()
        self.device = device
        # A model of relative positions alone names no most.
        self.positions: int = getattr(model.config, "max_position_embeddings", None) or 2**31

    @torch.no_grad()
    def write(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplingSettings
    ) -> list[Continuation]:
        """What it writes after each prompt; one at a time, for its draws are torch's own.

        Of a prompt that leaves too little room to write in, the end is read.
        """
        end = self.tokenizer.eos_token_id
        most = min(settings.max_tokens, self.positions - 1)
        found = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            given = self.tokenizer(prompt.rstrip(" "), return_tensors="pt").input_ids
            given = given[:, -(self.positions - most) :]
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                whole = self.model.generate(
                    given.to(self.device),
                    attention_mask=torch.ones_like(given).to(self.device),
                    do_sample=True,
                    temperature=settings.temperature,
                    top_k=settings.top_k,
                    top_p=settings.top_p,
                    max_new_tokens=most,
                    pad_token_id=end,
                )
            new = whole[0, given.shape[1] :]
            found.append(Continuation.of(self._text(given[0], new), len(new) < most))
        return found

    def _text(self, given: Tensor, new: Tensor) -> str:
        """The text of new tokens after others: alone, many a tokenizer drops their first space."""
        read = self.tokenizer.decode(given, skip_special_tokens=True)
        both = self.tokenizer.decode(torch.cat([given, new.cpu()]), skip_special_tokens=True)
        if both.startswith(read):
            return str(both[len(read) :])
        return str(self.tokenizer.decode(new, skip_special_tokens=True))


def check_causal(folder: Path) -> None:
    """Raise `UserError` where a folder holds no causal model of transformers, or that is not
    installed."""
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"policy {folder} is no language model: it has no {CONFIG}.")
    try:
        known = json.loads(path.read_text(encoding="utf-8")).get("architectures") or []
    except (ValueError, AttributeError):
        raise UserError(f"policy {folder}: its {CONFIG} cannot be read.") from None
    if not any(name.endswith(CAUSAL) for name in known):
        what = ", ".join(known) or "nothing that it names"
        raise UserError(f"policy {folder} is no causal language model: it is {what}.")
    if find_spec("transformers") is None:
        raise UserError(
            f"policy {folder} is a model of transformers, which is not installed;"
            " `pip install -e '.[export]'` does that."
        )


def find_policy(text: str, runs: Path) -> tuple[Path, str]:
    """Where a policy is, and the hash of what decides what it writes.

    Raises:
        UserError: it is no run, no export and no causal model of transformers.
    """

    path = Path(text).expanduser()
    if path.is_dir() and not (is_exported(path) or is_run_folder(path)):
        check_causal(path)
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 24):
                    digest.update(block)
        return path.resolve(), digest.hexdigest()[:16]
    trained = find_trained(text, runs=runs)
    place = trained.run.path if trained.run else trained.weights.parent
    return place.resolve(), trained.fingerprint[:16]


def load_policy(text: str, runtime: Runtime, runs: Path) -> Policy:
    """The policy that a run, an export or a folder of transformers means; see `find_policy`."""

    path = Path(text).expanduser()
    if path.is_dir() and not (is_exported(path) or is_run_folder(path)):
        return TransformersPolicy(path, runtime.device)
    return OwnPolicy(*find_trained(text, runs=runs).load(runtime))
