"""A run that went on while its store was down: the store gets its later files and model."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.columns import row_of
from scaling.checkpoint import Checkpoints
from scaling.errors import UserError
from scaling.tracking.folder import RunFolder, Status
from scaling.tracking.registry import register_model
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.tracking.tracker import Tracker
from scaling.trained import of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stopped(workplace: Path) -> RunFolder:
    """A run that was stopped at step 10, all of it in the store."""
    run = make_run(Path("runs"), tiny_config(""), byte_tokenizer(), step=10)
    Tracker(run).finish("KILLED", {"part": 1})
    sync(run, client(run.read_record().uri))
    return run


def go_on(run: RunFolder, step: int, status: Status, part: int) -> None:
    """The run goes on to a better model at `step`, and no store hears of it."""
    run.reopen()
    tracker = Tracker(run)
    tracker.log(step, {"val/loss": 1.0})
    optimizer: dict[str, Any] = {"state": {}, "param_groups": []}
    checkpoints = Checkpoints(run.path / "checkpoints")
    weights = {name: 2 * p for name, p in checkpoints.at("best").load_weights().items()}
    checkpoints.save(step, weights, optimizer, {}, best=True)
    tracker.finish(status, {"part": part})


def in_store(run: RunFolder, to: Path) -> tuple[str, int, list[float], bool]:
    """Status, the summary's part, the losses, and whether the model is the folder's best."""
    from safetensors.torch import load_file

    sent, store = Sent.read(run), client(run.read_record().uri)
    assert sent.run_id is not None
    to.mkdir()
    summary = store.download_artifacts(sent.run_id, "summary.json", str(to))
    points = store.get_metric_history(sent.run_id, "val/loss")
    model = store.get_logged_model(str(sent.model_id))
    (place,) = Path(model.artifact_location.removeprefix("file://")).rglob("model.safetensors")
    there, own = load_file(place), load_file(of_run(run).weights)
    same = all(torch.equal(there[name], own[name]) for name in own)
    status = store.get_run(sent.run_id).info.status
    return status, json.loads(Path(summary).read_text())["part"], [p.value for p in points], same


@pytest.mark.parametrize("status", ["FINISHED", "KILLED"])
def test_doctor_sends_what_a_resumed_run_did_offline(
    stopped: RunFolder, tmp_path: Path, tinyscale_here: Call, status: Status
) -> None:
    assert in_store(stopped, tmp_path / "a") == ("KILLED", 1, [4.42], True)
    go_on(stopped, 20, status, part=2)
    done = tinyscale_here("doctor")
    assert f"{stopped.path.name}: the store had missed a part" in done.stdout
    assert in_store(stopped, tmp_path / "b") == (status, 2, [4.42, 1.0], True)
    assert "had missed" not in tinyscale_here("doctor").stdout


def test_a_resumed_runs_best_model_is_registered(stopped: RunFolder) -> None:
    store = client(stopped.read_record().uri)
    assert register_model(of_run(stopped), "teller") == "1"
    first = Sent.read(stopped).model_id
    go_on(stopped, 20, "KILLED", part=2)
    with pytest.raises(UserError, match="latest state; `tinyscale doctor` sends it"):
        register_model(of_run(stopped), "teller")
    sync(stopped, store)
    assert register_model(of_run(stopped), "teller") == "2"
    second = Sent.read(stopped).model_id
    assert second is not None and second != first
    assert store.get_logged_model(second).params["step"] == "20"
    assert store.get_model_version("teller", "1").source == f"models:/{first}"
    stopped.reopen()  # and ends with no better model
    Tracker(stopped).finish("FINISHED", {"part": 3})
    sync(stopped, store)
    assert Sent.read(stopped).model_id == second


def test_a_pruned_run_that_is_made_whole_after_all_counts(stopped: RunFolder) -> None:
    store = client(stopped.read_record().uri)

    def pruned() -> bool:
        sync(stopped, store)
        return bool(row_of(store.get_run(str(Sent.read(stopped).run_id)), {})["pruned"])

    Tracker(stopped).tag(pruned="true", pruned_step="10")
    assert pruned()
    go_on(stopped, 20, "FINISHED", part=2)
    assert not pruned()
    for tags in (stopped.read_record().tags, Sent.read(stopped).tags):
        assert not [tag for tag in tags if "pruned" in tag]
    Tracker(stopped).tag(pruned="true")  # as a driver leaves it that dies before the run ends
    assert not pruned()
