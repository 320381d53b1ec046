"""What `auto` makes of a machine, and what is said of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from scaling import runtime
from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.memory import (
    PROGRAMS,
    available_bytes,
    is_out_of_memory,
    lack_of_memory_is_said,
    processes_ended,
)
from scaling.runtime import Runtime, git_state, peak_flops, resolve
from sweeps.machine import this_machine


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Torch says that there is a card."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("scaling.runtime.sysconfig.get_path", lambda name: tmp_path)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    runtime.has_fast_bf16.cache_clear()
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)
    torch.backends.cuda.enable_cudnn_sdp(True)
    runtime.has_fast_bf16.cache_clear()


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("triton", [True, False])
@pytest.mark.parametrize("compiler", [True, False])
def test_a_card_compiles_where_it_can(
    triton: bool, compiler: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: object() if triton else None)
    monkeypatch.setattr("scaling.runtime.shutil.which", lambda name: "/a/cc" if compiler else None)
    found = resolve(RuntimeConfig())
    assert (found.device.type, found.precision) == ("cuda", "bf16")
    assert found.compile == (triton and compiler)
    words = "compiled" if found.compile else "not compiled"
    assert found.describe() == f"A card, bf16, {words}"
    assert resolve(RuntimeConfig(compile=True)).compile


@pytest.mark.usefixtures("card")
def test_a_card_that_is_asked_for_fp32_does_not_round_its_factors() -> None:
    for precision, products in (("fp32", "highest"), ("auto", "high"), ("fp32", "highest")):
        resolve(RuntimeConfig.model_validate({"precision": precision, "compile": False}))
        assert torch.get_float32_matmul_precision() == products


@pytest.mark.usefixtures("card")
def test_what_a_process_reads_but_once_is_set_by_its_first_run() -> None:
    resolve(RuntimeConfig())  # whatever it asks for itself
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


@pytest.mark.slow
def test_the_compiler_is_loaded_by_who_compiles() -> None:
    code = """if True:
        import sys
        from scaling.config import RuntimeConfig
        from scaling.runtime import resolve
        chosen = resolve(RuntimeConfig(device="cpu", compile=True))
        assert chosen.compile and "torch._inductor" not in sys.modules
        chosen.compile_each([])
        assert "torch._inductor" in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("expected scalar type Float but found BFloat16"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_told_apart(error: Exception, lacks: bool) -> None:
    assert is_out_of_memory(error) is lacks


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_lack_of_memory_is_one_sentence(error: Exception) -> None:
    with (
        pytest.raises(
            UserError, match=r"^there is too little memory \(.*emory.*\); ask for less\.$"
        ),
        lack_of_memory_is_said("ask for less"),
    ):
        raise error


def test_a_commit_is_that_of_a_package_which_git_tracks(tmp_path: Path) -> None:
    package = tmp_path / ".venv" / "scaling"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "another project's")
    assert git_state(package) is None
    git("add", ".")
    git("commit", "-m", "its own")
    state = git_state(package)
    assert state is not None and len(state[0]) == 40 and not state[1]


def test_a_container_has_no_more_memory_than_its_limit_and_programs_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = available_bytes(tmp_path)  # without such a group
    for name, text in (
        ("memory.max", "5000\n"),
        ("memory.current", "3000\n"),
        ("memory.stat", "anon 2000\ninactive_file 600\n"),
    ):
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == 5000 - 3000 + 600 < whole
    monkeypatch.setenv(PROGRAMS, "2")
    assert available_bytes(tmp_path) == (5000 - 3000 + 600) / 2
    monkeypatch.delenv(PROGRAMS)
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 5000


def test_a_container_of_one_core_is_no_machine_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # counts as a container's quota does
        resolve(RuntimeConfig(device="cpu"))
        assert torch.get_num_threads() == 1
        assert this_machine("cpu").cores == 1
        resolve(RuntimeConfig(device="cpu", threads=2))  # who says how many is believed
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_is_what_torch_is_told(asked: bool) -> None:
    try:
        resolve(RuntimeConfig(device="cpu", deterministic=asked))
        assert torch.are_deterministic_algorithms_enabled() is asked
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_bf16_that_a_processor_only_emulates_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Runtime(torch.device("cpu"), torch.bfloat16, compile=False)
    for fast in (True, False):
        monkeypatch.setattr(runtime, "has_fast_bf16", lambda device, fast=fast: fast)
        assert ("fp32 is many times faster here" in asked.describe()) is not fast


def test_the_peak_is_measured_once_and_with_products_that_take_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def seconds(n: int, of: Runtime) -> float:
        sizes.append(n)
        return 2 * n**3 / 8e9  # a slow machine's

    monkeypatch.setattr(runtime, "_product_seconds", seconds)
    here = Runtime(torch.device("cpu"), torch.float32, compile=False)
    assert peak_flops(here, tmp_path) == pytest.approx(8e9)
    assert set(sizes) == {512, 1024}  # .03 s and .27 s a product
    assert peak_flops(here, tmp_path) == pytest.approx(8e9)
    assert len(sizes) == 3
    (tmp_path / "peak_flops.json").write_text('{"torn')  # a power cut, or another's
    assert peak_flops(here, tmp_path) == pytest.approx(8e9)
    assert json.loads((tmp_path / "peak_flops.json").read_text())


def test_a_cache_that_cannot_be_written_costs_a_measurement_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_product_seconds", lambda n, of: 2 * n**3 / 8e9)
    (tmp_path / "cache").write_text("a file where the folder would be")
    here = Runtime(torch.device("cpu"), torch.float32, compile=False)
    assert peak_flops(here, tmp_path / "cache") == pytest.approx(8e9)


@pytest.mark.parametrize(
    ("told", "count"), [("pgfault 7\noom_kill 3\n", 3), ("pgfault 7\n", None), (None, None)]
)
def test_how_many_processes_the_system_has_ended_for_memory(
    tmp_path: Path, told: str | None, count: int | None
) -> None:
    counters = tmp_path / "vmstat"
    if told is not None:
        counters.write_text(told)
    assert processes_ended(counters) == count
