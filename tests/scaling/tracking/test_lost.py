"""A store that has lost a run whose folder is there: it is sent again, and nothing breaks."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.errors import UserError
from scaling.tracking.address import without_password
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


def test_a_folder_that_came_from_elsewhere_makes_no_store_where_its_own_was(
    workplace: Path, tinyscale_here: Call
) -> None:
    run = make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    sync(run, client(run.read_record().uri))
    run.update(uri=f"sqlite:///{workplace}/home/me/mlflow.db", ended=1)
    Path("some.txt").write_text("the cat sat")
    judged = tinyscale_here("evaluate", "tiny", "--files", "some.txt")
    assert judged.returncode == 0 and "some.txt" in judged.stdout
    assert "the results are not in the store: there is no store at sqlite:" in judged.stderr
    told = tinyscale_here("doctor").stdout
    assert f"not sent    {run.path.name}: its store" in told
    assert f"is not there: there is no folder {workplace}/home/me" in told
    assert not Path("home").exists()


def test_a_store_whose_driver_is_not_installed_takes_nothing_from_an_answer(
    workplace: Path, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    sync(run, client(run.read_record().uri))
    run.update(uri="mssql+pymssql://me:secret@there/mlflow", ended=1)
    Path("some.txt").write_text("the cat sat")
    judged = tinyscale_here("evaluate", "tiny", "--files", "some.txt")
    assert judged.returncode == 0 and "some.txt" in judged.stdout
    assert "the results are not in the store: " in judged.stderr
    told = tinyscale_here("doctor")
    assert "its store mssql+pymssql://me:***@there/mlflow" in told.stdout
    assert "secret" not in judged.stderr + told.stdout + told.stderr


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


def test_a_password_is_shown_to_nobody() -> None:
    assert without_password("postgresql://me:s3@host/db") == "postgresql://me:***@host/db"
    assert without_password("https://me:a:b@host") == "https://me:***@host"
    assert without_password("--storage=mysql://a:b@c/d") == "--storage=mysql://a:***@c/d"
    for plain in ("sqlite:///a@b.db", "https://host:5000/a@b", "train", "--optimizer.lr=1e-3"):
        assert without_password(plain) == plain
