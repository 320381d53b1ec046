"""Fixtures: sweeps of the tiny config, and an executor that trains nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder
from scaling.tracking.sender import Sender
from sweeps.advice import Advisor
from sweeps.calibration import Calibration
from sweeps.driver import Driver, Options
from sweeps.job import Member
from sweeps.ledger import Ledger
from sweeps.machine import Machine
from sweeps.progress import Board
from sweeps.reading import Sweep, read_sweep
from sweeps.source import Grid, Source
from sweeps.wanted import Wanted, wanted_runs
from tests.sweeps.fakes import FakeExecutor
from tests.sweeps.here import HereExecutor

Write = Callable[..., Path]


@pytest.fixture
def write_sweep(tiny_yaml: Path) -> Write:
    """Write `<name>.yaml`, a sweep of the tiny config: `write_sweep(grid={...})`."""

    def write(name: str = "s", **fields: Any) -> Path:
        path = Path(f"{name}.yaml")
        path.write_text(yaml.safe_dump({"base": "tiny", **fields}, sort_keys=False))
        return path

    return write


@pytest.fixture(autouse=True)
def _senders_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A record that a test leaves open is sent no more: the next test has another in its place."""
    started, start = list[Sender](), Sender.start

    def noting(self: Sender, folders: list[RunFolder]) -> None:
        started.append(self)
        start(self, folders)

    monkeypatch.setattr(Sender, "start", noting)
    yield
    for sender in started:
        sender._folders = []
        sender._closing.set()
        sender._thread.join()


@pytest.fixture
def trains_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps train in this process: a worker process takes seconds to start."""
    monkeypatch.setattr("sweeps.local.LocalExecutor", HereExecutor)
    monkeypatch.setattr("sweeps.adapting.conduct.LocalExecutor", HereExecutor)


@pytest.fixture
def sweep_of(write_sweep: Write) -> Callable[..., Sweep]:
    """A sweep of the tiny config, read."""
    return lambda **fields: read_sweep(str(write_sweep(**fields)))


@pytest.fixture
def drive() -> Callable[..., Driver[Wanted]]:
    """Drive a sweep with a fake executor; returns the driver when it has ended."""

    def go(
        sweep: Sweep,
        fate: Callable[[Member], str] = lambda run: "finished",
        source: Source[Wanted] | None = None,
        **options: Any,
    ) -> Driver[Wanted]:
        executor = FakeExecutor(fate)
        source = source or Grid(wanted_runs(sweep))
        folder = Path("runs/sweeps") / sweep.spec.name
        folder.mkdir(parents=True, exist_ok=True)
        machine = Machine(cores=2, gpus=0, free_bytes=2**33)
        driver = Driver(
            sweep.spec,
            source,
            Ledger(Path("runs"), tracking_uri(), "tinyscale"),
            executor,
            Advisor(
                sweep.spec, machine, Calibration(folder, "here"), alone=source.judged is not None
            ),
            tags=lambda run: {},
            folder=folder,
            board=Board(),
            options=Options(**options),
        )
        driver.run()
        return driver

    return go
