"""The graph for ONNX runtimes: what onnxruntime makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from scaling.config import RunConfig, RuntimeConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.export.write import export
from scaling.model import attend
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, generate
from scaling.tracking.folder import run_folders
from scaling.trained import Trained, find_trained, of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import MODEL, shrunk, tiny_config

# The exporter takes its time for each graph, so that one graph has several parts.
TOGETHER = (
    "mqa+untied",
    "softcap+logit_softcap",
    "sliding_window_full+layernorm",
    "alibi_window+relu_squared",
    "gated+learned_residual",
    "gated_head+post_norm",
    "differential+depth_residual",
    "mla+mup_untied",
    "mla_norope+parallel",
    "qk_norm_mla+mup+layernorm_plain",
    "qk_norm_gqa+moe_swiglu",  # without a cap: torch's own kernel has the groups
)
IN_TWO_BLOCKS = {"sliding_window_full", "depth_residual"}  # one block differs from the next
# Each part of these is in another graph too, and `exported` is the baseline.
COVERED = {
    *("baseline", "gqa", "qk_norm", "sliding_window", "alibi", "no_position", "learned", "gelu"),
    *("moe", "parallel_post", "dropout", "zero_init"),
}
# The parts of gpt2_33m are condor's, but for dropout.
RECIPES = ("condor", "falcon_moe")


def joined(names: str) -> RunConfig:
    """Rows of `MODEL` in one model, of one block where that shows all of them."""
    parts = names.split("+")
    blocks = 2 if IN_TWO_BLOCKS.intersection(parts) else 1
    return tiny_config(" ".join([f"--model.n_layers {blocks}", *(MODEL[part] for part in parts)]))


PARTS = {part for names in TOGETHER for part in names.split("+")}
CONFIGS = (
    {names: joined(names) for names in TOGETHER}
    | {name: tiny_config(flags) for name, flags in MODEL.items() if name not in PARTS | COVERED}
    | {name: shrunk(name) for name in RECIPES}
)
LENGTH = 64  # of `exported`: a block of our own kernel


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_tokenizer()


def session(folder: Path) -> Any:
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def assert_same_logits(out: Path, trained: Trained, *shapes: tuple[int, int]) -> None:
    """The graph in `out` against our own model, on random tokens of each batch and length."""
    theirs = session(out)
    ours, _ = trained.load(resolve(RuntimeConfig(device="cpu", precision="fp32", compile=False)))
    for batch, time in shapes:
        ids = torch.randint(0, 257, (batch, time), generator=torch.Generator().manual_seed(time))
        with torch.no_grad():
            expected = ours(ids[None])[0]
        found = torch.from_numpy(theirs.run(["logits"], {"input_ids": ids.numpy()})[0])
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_onnxruntime_gives_the_same_logits_at_any_batch_and_length(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    trained = of_run(make_run(tmp_path / "runs", CONFIGS[name], tokenizer))
    export(trained, "onnx", tmp_path / "out")
    assert_same_logits(tmp_path / "out", trained, (2, 12), (1, 1), (5, 7))


@pytest.fixture(scope="module")
def exported(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run under `runs` and its graph under `out`, written as with AVX2."""
    pytest.importorskip("onnxscript")
    place = tmp_path_factory.mktemp("exported")
    run = make_run(place / "runs", tiny_config(f"--data.context_length {LENGTH}"), tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attend, "NARROW", True)
        assert export(of_run(run), "onnx", place / "out") == metadata_in(place / "out")
    return place


@pytest.mark.slow
def test_a_processor_with_a_kernel_of_ours_writes_the_same_graph(exported: Path) -> None:
    (run,) = run_folders(exported / "runs")
    assert_same_logits(exported / "out", of_run(run), (2, LENGTH), (2, 7), (1, 1))


def metadata_in(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "tinyscale.json").read_text())
    return found


@pytest.mark.slow
def test_the_folder_has_what_is_needed_beside_the_graph(exported: Path) -> None:
    metadata = metadata_in(exported / "out")
    assert metadata["format"] == "onnx" and metadata["step"] == 30
    assert {path.name for path in (exported / "out").iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
        "tinyscale.yaml",
        "tinyscale.json",
        "README.md",
    }


@pytest.mark.slow
def test_the_cards_own_program_writes_what_our_sampler_writes(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    card = (exported / "out" / "README.md").read_text()
    program = card.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(exported)
    written: list[str] = []
    exec(program, {"print": written.append})
    (run,) = run_folders(exported / "runs")
    model = of_run(run).load(resolve(RuntimeConfig(device="cpu", precision="fp32", compile=False)))
    prompt = "Once upon a time"  # of 16 tokens, after the end of another text
    ours = generate(*model, [prompt], SamplingSettings(max_tokens=LENGTH - 17, temperature=0))
    assert written == [prompt + ours[0]]


@pytest.mark.slow
def test_a_graph_cannot_be_read_back_and_says_so(exported: Path) -> None:
    with pytest.raises(UserError, match=r"out holds a graph .* --to safetensors"):
        find_trained(str(exported / "out"))


def test_without_the_extra_one_sentence_says_what_to_install(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling.export.onnx.find_spec", lambda name: None)
    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    with pytest.raises(UserError, match=r"needs onnx and onnxscript: `pip install"):
        export(of_run(run), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_the_exporter_cannot_write_is_said_in_one_sentence(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    from scaling.commands.export import export as command
    from scaling.model.decoder import Decoder

    def forward(self: Decoder, ids: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(self.embedding(ids).flatten(0, 1)).real

    monkeypatch.setattr(Decoder, "forward", forward)
    run = make_run(tmp_path / "runs", tiny_config(""), tokenizer)
    words = [str(run.path), str(tmp_path / "out"), "--to", "onnx"]
    done = CliRunner().invoke(command, words)
    assert isinstance(done.exception, UserError)
    assert "\n" not in str(done.exception) and "--to safetensors" in str(done.exception)
    assert not (tmp_path / "out").exists()
