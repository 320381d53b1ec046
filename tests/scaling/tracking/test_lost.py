"""A store that has lost a run whose folder is there: it is sent again, and nothing breaks."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.errors import UserError
from scaling.tracking.folder import RunFolder
from scaling.tracking.registry import register_model
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.trained import of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lost(workplace: Path, empty_store: Path) -> RunFolder:
    """A run that was sent to a store in whose place there is an empty one now."""
    run = make_run(Path("runs"), tiny_config(""), byte_tokenizer())
    sync(run, client(run.read_record().uri))
    shutil.copy(empty_store, workplace / "new.db")  # MLflow keeps the old file open by its name
    run.update(uri=f"sqlite:///{workplace}/new.db")
    return run


def test_doctor_sends_a_lost_run_again(
    lost: RunFolder, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, uri = Sent.read(lost), lost.read_record().uri
    done = tinyscale_here("doctor", "--store", uri)
    assert f"{lost.path.name}: the store had missed a part" in done.stdout
    sent, store = Sent.read(lost), client(uri)
    assert sent.run_id is not None and sent.run_id != before.run_id
    found = store.get_run(sent.run_id)
    assert found.info.status == "FINISHED" and found.data.metrics["val/loss"] == 4.42
    assert "summary.json" in {f.path for f in store.list_artifacts(sent.run_id)}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert register_model(of_run(lost), "teller") == "1"
    assert "had missed" not in tinyscale_here("doctor", "--store", uri).stdout


def test_a_run_whose_store_is_down_hides_no_other(
    workplace: Path, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away, fine = (make_run(Path("runs"), tiny_config(""), byte_tokenizer()) for _ in range(2))
    away.update(uri="http://127.0.0.1:9", started=0)
    done = tinyscale_here("doctor")
    assert "mlflow.db: answers, 1 experiments" in done.stdout
    assert f"{fine.path.name}: the store had missed a part" in done.stdout
    line = f"not sent    {away.path.name}: its store http://127.0.0.1:9 does not answer ("
    assert line in done.stdout
    assert Sent.read(fine).is_whole(fine.read_record())


def test_a_launchers_run_that_is_lost_is_made_anew(lost: RunFolder) -> None:
    lost.update(claimed=Sent.read(lost).run_id)
    store = client(lost.read_record().uri)
    sync(lost, store)
    run_id = Sent.read(lost).run_id
    assert run_id is not None and run_id != lost.read_record().claimed
    assert store.get_run(run_id).info.status == "FINISHED"


def test_registering_a_lost_model_is_one_sentence(lost: RunFolder) -> None:
    with pytest.raises(UserError, match="`tinyscale doctor` sends it"):
        register_model(of_run(lost), "teller")


def test_registering_in_a_store_that_is_down_is_one_sentence(lost: RunFolder) -> None:
    lost.update(uri="http://127.0.0.1:9")
    with pytest.raises(UserError, match="'teller' cannot be registered") as caught:
        register_model(of_run(lost), "teller")
    assert "\n" not in str(caught.value)
