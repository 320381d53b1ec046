"""Self-edits and who writes them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.adapt import policy as writing
from scaling.adapt.config import Edit
from scaling.adapt.edits import learned, write_edits
from scaling.adapt.policy import (
    Continuation,
    OwnPolicy,
    TransformersPolicy,
    find_policy,
    load_policy,
)
from scaling.errors import UserError
from scaling.export.write import export
from scaling.sampling import SamplingSettings
from scaling.trained import of_run
from tests.scaling.adapt.parts import RUNTIME, random_model
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

PASSAGE = "Ada has a hat. It is red."
TOKENIZER = byte_tokenizer()
SETTINGS = SamplingSettings(max_tokens=5, temperature=1.0)


class Parrot:
    """Writes the same whatever it is given, and tells what that was."""

    def __init__(self, text: str = " yes.", ended: bool = True) -> None:
        self.written, self.given = Continuation(text, ended), list[tuple[str, int]]()

    def write(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplingSettings
    ) -> list[Continuation]:
        self.given += zip(prompts, seeds, strict=True)
        return [self.written] * len(prompts)


def predicted(edit: Edit, policy: Parrot, context: int = 200) -> list[str]:
    """What an edit's texts are trained to predict."""
    (written,) = write_edits(policy, edit, [PASSAGE], [7])
    return [TOKENIZER.decode(text.ids[text.start :]) for text in written.texts(TOKENIZER, context)]


def test_every_edit_holds_the_passage_and_what_was_written_besides() -> None:
    policy = Parrot()
    assert predicted(Edit(), policy) == [PASSAGE]
    assert policy.given == []
    assert predicted(Edit(kind="continuation", pieces=1), policy) == [PASSAGE, " yes."]
    assert predicted(Edit(kind="restatement", pieces=1), policy) == [
        PASSAGE,
        "Ada has a hat. yes.",
    ]
    assert predicted(Edit(kind="questions", pieces=2), policy) == [
        PASSAGE,
        '"What yes.',
        '"Where yes.',
    ]
    prompts = [prompt for prompt, _ in policy.given]
    assert prompts == [
        PASSAGE,
        f"{PASSAGE}\nAda has a hat.",
        f'{PASSAGE}\n"What',
        f'{PASSAGE}\n"Where',
    ]
    assert len({seed for _, seed in policy.given[-2:]}) == 2


def test_a_policy_that_writes_nothing_leaves_the_passage() -> None:
    assert predicted(Edit(kind="continuation"), Parrot("")) == [PASSAGE]


def test_what_is_read_is_not_predicted_and_gives_way_to_what_is() -> None:
    (text,) = learned(TOKENIZER, "abcdef", "xyz", 8, ended=True)
    assert TOKENIZER.decode(text.ids[text.start :]) == "xyz"
    assert text.ids[-1] == TOKENIZER.eot
    assert TOKENIZER.decode(text.ids[: text.start]) == "cdef"  # the end of it, as much as fits
    (long,) = learned(TOKENIZER, "abc", "0123456789", 8, ended=True)
    assert len(long.ids) <= 9


@pytest.mark.parametrize("kind", ["continuation", "restatement"])
def test_an_end_is_learned_only_where_one_was_written(kind: Any) -> None:
    for ended in (True, False):
        (written,) = write_edits(Parrot(ended=ended), Edit(kind=kind, pieces=1), [PASSAGE], [7])
        *_, piece = written.texts(TOKENIZER, 200)
        assert (piece.ids[-1] == TOKENIZER.eot) is ended


def test_a_half_character_at_a_cut_is_left_out() -> None:
    torn = "caf\N{REPLACEMENT CHARACTER}"
    assert Continuation.of(torn, ended=False).text == "caf"
    assert Continuation.of(torn, ended=True).text == torn  # the model's own


@pytest.mark.parametrize(
    ("passage", "first"),
    [
        ("Ada has a hat. It is red.", "Ada has a hat."),
        ("猫在家。狗在外面。", "猫在家。"),
        ("One without an end", "One without an end"),
    ],
)
def test_a_passage_is_retold_from_its_first_sentence(passage: str, first: str) -> None:
    policy = Parrot()
    write_edits(policy, Edit(kind="restatement", pieces=1), [passage], [7])
    assert policy.given[0][0] == f"{passage}\n{first}"


def test_our_own_policy_writes_what_generating_would(tmp_path: Path) -> None:
    run = of_run(make_run(tmp_path, tiny_config("--data.context_length 40"), TOKENIZER))
    model, tokenizer = run.load(RUNTIME)
    policy = OwnPolicy(model, tokenizer)
    prompts = ["ab", "abc", "xy"]
    together = policy.write(prompts, [1, 2, 3], SETTINGS)
    assert policy.write(prompts[1:2], [2], SETTINGS) == together[1:2]
    assert len(set(policy.write(["ab"] * 8, range(8), SETTINGS))) > 1


def test_our_own_policy_writes_to_so_many_prompts_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def counted(
        model: object, ids: list[object], *rest: object, **more: object
    ) -> list[list[int]]:
        sizes.append(len(ids))
        return [[1]] * len(ids)

    monkeypatch.setattr(writing, "continue_ids", counted)
    OwnPolicy(random_model(tiny_config("")), TOKENIZER).write(["ab"] * 600, range(600), SETTINGS)
    assert sizes == [256, 256, 88]


def their_policy(place: Path) -> TransformersPolicy:
    """A model in a folder as any of transformers."""
    pytest.importorskip("transformers")
    run = of_run(make_run(place, tiny_config("--data.context_length 40"), TOKENIZER))
    export(run, "hf", place / "theirs")
    (place / "theirs/tinyscale.json").unlink()
    policy = load_policy(str(place / "theirs"), RUNTIME, place)
    assert isinstance(policy, TransformersPolicy)
    return policy


def test_another_model_writes_through_transformers(tmp_path: Path) -> None:
    policy = their_policy(tmp_path)
    out = tmp_path / "theirs"
    place, digest = find_policy(str(out), tmp_path)
    assert (place, len(digest)) == (out.resolve(), 16)
    first = policy.write(["ab", "cd"], [1, 2], SETTINGS)
    assert policy.write(["cd"], [2], SETTINGS) == first[1:]


def test_the_space_before_the_first_word_that_is_written_is_kept(tmp_path: Path) -> None:
    """Decoders of SentencePiece's kind drop a text's first space."""
    policy = their_policy(tmp_path)

    class Stripping:
        def decode(self, ids: torch.Tensor, **_: Any) -> str:
            return TOKENIZER.decode(ids.tolist()).removeprefix(" ")

    policy.tokenizer = Stripping()
    read, new = (torch.tensor(TOKENIZER.encode(text)) for text in ("Ada has", " a hat"))
    assert policy._text(read, new) == " a hat"


def test_of_a_passage_that_outgrows_a_model_of_transformers_the_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = their_policy(tmp_path)
    seen = []
    generate = policy.model.generate

    def spied(given: torch.Tensor, **options: Any) -> torch.Tensor:
        seen.append((given.shape[1], options["max_new_tokens"], int(given[0, -1])))
        return generate(given, **options)

    monkeypatch.setattr(policy.model, "generate", spied)
    policy.write(["ab" * 40], [1], SETTINGS)
    policy.write(["ab" * 40], [1], SamplingSettings(max_tokens=64))
    last = TOKENIZER.encode("b")[0]
    assert seen == [(35, 5, last), (1, 39, last)]


def test_a_policy_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no language model: it has no config.json"):
        find_policy(str(tmp_path), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForMaskedLM"]}))
    with pytest.raises(UserError, match="no causal language model: it is BertForMaskedLM"):
        find_policy(str(tmp_path), tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        find_policy(str(tmp_path), tmp_path)
    with pytest.raises(UserError, match="There is no run nobody"):
        find_policy("nobody", tmp_path)


def test_a_policy_of_transformers_needs_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="transformers, which is not installed"):
        find_policy(str(tmp_path), tmp_path)
