"""Exported folders: what transformers makes of them, and what comes back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from scaling.config import RunConfig, RuntimeConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.export.families import Shape, family_of
from scaling.export.fold import fold
from scaling.export.folder import FORMATS
from scaling.export.write import export
from scaling.model.decoder import Decoder
from scaling.runtime import Runtime, resolve
from scaling.trained import find_trained, of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import MODEL, tiny_config

# What transformers has a model for, and which.
THERE = {
    "baseline": "llama",
    "gqa": "llama",
    "mqa": "llama",
    "untied": "llama",
    "learned_residual": "llama",
    "depth_residual": "llama",
    "mup": "llama",
    "mup_untied": "llama",
    "dropout": "llama",
    "zero_init": "llama",
    "sliding_window": "mistral",
    "sliding_window_full": "qwen2",
    "qk_norm": "qwen3",
    "qk_norm_gqa": "qwen3",
}
MORE = {
    "llama_bias": ("--model.bias true", "llama"),
    "qwen3_mup": (
        "--model.attention.qk_norm true --model.parametrization.kind mup"
        " --model.parametrization.base_width 8",
        "qwen3",
    ),
    "gpt2": (
        "--model.position.kind learned --model.norm layernorm --model.feedforward.kind gelu"
        " --model.bias true",
        "gpt2",
    ),
    "gpt2_plain": (
        "--model.position.kind learned --model.norm layernorm --model.feedforward.kind gelu"
        " --model.tie_embeddings false --model.residual.kind depth",
        "gpt2",
    ),
    "mixtral": (
        "--model.feedforward.kind moe --model.feedforward.activation swiglu"
        " --model.feedforward.n_experts 4 --model.feedforward.d_ff 24 --model.attention.kind gqa",
        "mixtral",
    ),
}
ROWS = {**{name: (MODEL[name], family) for name, family in THERE.items()}, **MORE}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_tokenizer()


@pytest.mark.parametrize("name", ROWS)
def test_transformers_gives_the_same_logits(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    flags, family = ROWS[name]
    run = make_run(tmp_path / "runs", tiny_config(flags), tokenizer)
    trained = of_run(run)
    metadata = export(trained, "hf", tmp_path / "out")
    assert metadata["family"] == family
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ours, _ = trained.load(_cpu())
    ids = torch.randint(0, 257, (3, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = ours(ids[None])[0], theirs(ids).logits
    assert expected.std() > 0.1
    assert (expected - found).abs().max() < 1e-4
    # and back
    again, _ = find_trained(str(tmp_path / "out")).load(_cpu())
    with torch.no_grad():
        assert (again(ids[None])[0] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", sorted(set(MODEL) - set(THERE)))
def test_what_has_no_equivalent_says_so_and_leaves_as_safetensors(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    config = tiny_config(MODEL[name])
    run = make_run(tmp_path / "runs", config, tokenizer)
    with pytest.raises(UserError, match="safetensors"):
        export(of_run(run), "hf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(of_run(run), "safetensors", tmp_path / "out")
    found = find_trained(str(tmp_path / "out"))
    assert found.config.model == config.model and found.step == 30
    ours, again = of_run(run).load(_cpu())[0], found.load(_cpu())[0]
    ids = torch.arange(12)[None, None]
    with torch.no_grad():
        assert torch.equal(ours(ids), again(ids))


def test_a_gate_of_one_expert_has_no_equivalent(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Transformers makes the gates of a token sum to 1, so that a single one is always 1."""
    flags = f"{MORE['mixtral'][0]} --model.feedforward.top_k 1"
    run = make_run(tmp_path / "runs", tiny_config(flags), tokenizer)
    with pytest.raises(UserError, match=r"its gate is a probability.*safetensors"):
        export(of_run(run), "hf", tmp_path / "out")


def test_the_tokenizer_is_the_same_with_the_start_before_it(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    export(of_run(run), "hf", tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    text = 'Once upon a time, "Mia" said: é 42!\n'
    assert theirs(text)["input_ids"] == [tokenizer.eot, *tokenizer.encode(text)]
    # Versions before 5 would give token_type_ids besides.
    assert theirs.model_input_names == ["input_ids", "attention_mask"]
    assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.eos_token_id == tokenizer.eot
    assert Tokenizer.load(tmp_path / "out" / "tokenizer.json").encode(text) == tokenizer.encode(
        text
    )


def test_transformers_writes_what_we_write(tokenizer: Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from scaling.sampling import SamplingSettings, generate

    config = tiny_config("--data.context_length 64")
    trained = of_run(make_run(tmp_path / "runs", config, tokenizer))
    export(trained, "hf", tmp_path / "out")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    given = words("Once", return_tensors="pt")
    found = theirs.generate(**given, do_sample=False, max_new_tokens=20)[0]
    ours = generate(*trained.load(_cpu()), ["Once"], SamplingSettings(20, temperature=0))
    assert words.decode(found, skip_special_tokens=True) == "Once" + ours[0]


@pytest.mark.parametrize(
    ("corpus", "english"), [("stories", True), ("files --data.corpus.files x.txt", False)]
)
def test_the_card_claims_stories_of_those_and_what_the_positions_allow(
    tokenizer: Tokenizer, tmp_path: Path, corpus: str, english: bool
) -> None:
    run = make_run(tmp_path / "runs", tiny_config(f"--data.corpus.kind {corpus}"), tokenizer)
    export(of_run(run), "hf", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("language: en" in card) == ("simple stories" in card) == english
    assert "max_new_tokens=6" in card  # half the context
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation["max_new_tokens"] == 6


def test_the_folder_says_what_the_model_is(tokenizer: Tokenizer, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", tiny_config("--model.attention.kind gqa"), tokenizer)
    export(of_run(run), "hf", tmp_path / "out")
    metadata = json.loads((tmp_path / "out" / "tinyscale.json").read_text())
    assert metadata["step"] == 30 and metadata["val_loss"] == pytest.approx(4.42)
    assert metadata["tokens"] == 30 * 4 * 12
    assert metadata["metrics"]["final_val_loss"] == 4.0
    card = (tmp_path / "out" / "README.md").read_text()
    for said in ("AutoModelForCausalLM", "licence of the data", "gqa attention", "4.0000"):
        assert said in card
    with pytest.raises(UserError, match="--force"):
        export(of_run(run), "hf", tmp_path / "out")
    export(of_run(run), "safetensors", tmp_path / "out", force=True)
    assert (tmp_path / "out" / "load.py").exists()
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_folder_of_someone_else_is_left_alone(tokenizer: Tokenizer, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="no export"):
        export(of_run(run), "hf", tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("to", FORMATS)
def test_a_place_that_cannot_be_written_is_said_before_the_model_is_read(
    to: str, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr("scaling.export.write.load_file", lambda _: pytest.fail("it was read"))
    with pytest.raises(UserError, match="taken cannot be written"):
        export(of_run(run), to, tmp_path / "taken" / "m")


def test_names_cover_every_weight() -> None:
    for flags, _ in ROWS.values():
        config = tiny_config(flags).model
        model = Decoder(config, vocab_size=64, context_length=12)
        weights = {name: p.detach()[0] for name, p in model.named_parameters()}
        plain, folded = fold(config, weights)
        family = family_of(plain, Shape(64, 12, 0))
        assert {p.ours for p in family.pieces} - {None} == set(folded)
        theirs = [piece.theirs for piece in family.pieces]
        assert len(set(theirs)) == len(theirs)


def test_generate_and_evaluate_take_an_exported_folder(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    from analysis.cli import evaluate
    from scaling.commands.export import export as command
    from scaling.commands.generate import generate
    from scaling.data.prepare import prepare

    config = tiny()
    make_run(Path("runs"), config, prepare(config.data).tokenizer)
    call = CliRunner()
    done = call.invoke(command, ["tiny", "out", "--json"])
    assert done.exit_code == 0, done.output
    texts = [
        call.invoke(generate, [name, "--prompt", "the", "--max-tokens", "5", "--json"]).stdout
        for name in ("tiny", "out")
    ]
    assert texts[0] == texts[1] and json.loads(texts[0])
    losses = []
    for words in (["tiny"], ["out"], ["out", "--files", str(config.data.corpus.files)]):  # type: ignore[union-attr]
        result = call.invoke(evaluate, [*words, "--tokens", "500", "--json"])
        assert result.exit_code == 0, result.output
        losses.append(json.loads(result.stdout)["results"][0]["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert losses[2] > 1
    for which, steps in (("last", [30]), ("30", [30]), ("all", [30]), ("best,last", [30])):
        result = call.invoke(evaluate, ["out", "--tokens", "9", "--checkpoints", which, "--json"])
        assert [one["step"] for one in json.loads(result.stdout)["results"]] == steps
    for ask, which in ((generate, "77"), (evaluate, "77"), (evaluate, "30,77")):
        with pytest.raises(UserError, match="out is of step 30 alone; there is no checkpoint 77"):
            call.invoke(ask, ["out", "--checkpoint", which], catch_exceptions=False)


@pytest.mark.slow
def test_loader_runs(tokenizer: Tokenizer, tmp_path: Path) -> None:
    import subprocess
    import sys

    from scaling.sampling import SamplingSettings, generate

    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    export(of_run(run), "safetensors", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "out" / "load.py"), "Once"],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    here = of_run(run).load(resolve(RuntimeConfig()))  # as it chooses by itself
    (text,) = generate(*here, ["Once"], SamplingSettings())
    assert text and done.stdout.decode() == f"Once{text}\n"


def _cpu() -> Runtime:
    return resolve(RuntimeConfig(device="cpu", precision="fp32", compile=False))
