"""What this machine is and how a run uses it: device, precision, threads, versions, peak rate."""

import ctypes
import gc
import json
import os
import platform
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from loky import cpu_count
from torch import nn

from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.memory import available_bytes
from scaling.tracking.folder import write_whole

SHAPES = 4096  # compiled ones of a process at most


@dataclass(frozen=True)
class Runtime:
    """The choices that `auto` left to the machine."""

    device: torch.device
    dtype: torch.dtype
    compile: bool

    @property
    def precision(self) -> str:
        """The config's word for the dtype."""
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"

    def describe(self) -> str:
        """One line for people."""
        on_card = self.device.type == "cuda"
        compiled = ", compiled" if self.compile else ", not compiled" if on_card else ""
        slow = self.dtype == torch.bfloat16 and not has_fast_bf16(self.device)
        emulated = " (which it only emulates: fp32 is many times faster here)" if slow else ""
        return f"{device_name(self.device)}, {self.precision}{emulated}{compiled}"

    def compile_each(self, blocks: Iterable[nn.Module]) -> None:
        """Have these compiled at their first calls, where that is the choice."""
        if not self.compile:
            return
        # Seconds of import that only who compiles should wait for.
        from torch import _dynamo, _inductor

        _inductor.config.deterministic = torch.are_deterministic_algorithms_enabled()
        # A sweep's worker compiles each shape once, all of its life; by default torch stops
        # compiling, and runs slowly without a word, from the fifth shape on.
        _dynamo.config.recompile_limit = SHAPES
        _dynamo.config.accumulated_recompile_limit = SHAPES
        for block in blocks:
            block.compile(dynamic=False)


def device_of(config: RuntimeConfig) -> torch.device:
    """Where a run of this config trains; what it asks for need not be here."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def threads_here() -> int:
    """CPU threads of a run that asks for none.

    Torch counts the machine's cores, in a container too that may use but a few of them; and a
    sweep's worker has told it of fewer.
    """
    return min(torch.get_num_threads(), cpu_count())


def resolve(config: RuntimeConfig) -> Runtime:
    """Decide device, precision and compilation, and set torch's switches accordingly."""
    device = device_of(config)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "runtime.device is cuda, but torch finds no CUDA device here;"
            " use --runtime.device auto or cpu."
        )
    if device.type == "cpu":
        _keep_freed_memory()
    torch.set_num_threads(config.threads or threads_here())
    # `use_deterministic_algorithms` says the same to torch, and loads its compiler to tell that
    # too, a second or more of every start.
    torch.set_deterministic_debug_mode("error" if config.deterministic else "default")
    if device.type == "cuda":
        # TF32, a card's fast way with products of fp32, rounds their factors to ten bits, which is
        # not what one means who asks for fp32. The switch is the whole process's: an earlier
        # call may have set it the other way.
        torch.set_float32_matmul_precision("highest" if config.precision == "fp32" else "high")
        # For deterministic products; cuBLAS reads it once, at its first call, and a later job of
        # this process may ask for them.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # cuDNN plans its attention anew for every length, which in sampling is every token, and
        # is wrong with some masks (pytorch#193893, #196678); flash attention is neither.
        torch.backends.cuda.enable_cudnn_sdp(False)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and has_fast_bf16(device))
    # On a CPU our own kernels are as fast as compiled ones at these sizes (docs/LOG.md), and
    # compiling costs tens of seconds and needs a compiler.
    auto = device.type == "cuda" and _can_compile()
    compiled = auto if config.compile == "auto" else config.compile
    return Runtime(device, torch.bfloat16 if bf16 else torch.float32, compiled)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor there; to a card it moves beside the computation, and nobody waits."""
    if device.type != "cuda" or tensor.device.type != "cpu":  # torch pins what is on the CPU alone
        return tensor.to(device)
    # From pinned memory alone the copy is sure not to wait for what the card has been given.
    return tensor.pin_memory().to(device, non_blocking=True)


def release_memory() -> None:
    """Give back what dead programs hold in cycles, and of a card's what torch keeps of it."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing, where no card is in use


def free_bytes(device: torch.device) -> float:
    """Memory that a program can have."""
    if device.type != "cuda":
        return available_bytes()
    release_memory()
    return torch.cuda.mem_get_info(device)[0]


def _can_compile() -> bool:
    """Whether what torch.compile needs for a card is there.

    That is Triton, and what it builds its launchers with: a C compiler and Python's headers.
    """
    compilers = (os.environ.get("CC", ""), "gcc", "clang")
    return (
        find_spec("triton") is not None
        and any(shutil.which(one) for one in compilers)
        and Path(sysconfig.get_path("include"), "Python.h").exists()
    )


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed, up to blocks of 32 MB, the largest that it can keep.

    By its own rules it hands memory back to the system whenever enough lies free at the heap's
    end: a training step then faults in 60 to 160 MB anew, page by page, a fifth of its time in a
    virtual machine. Where the C library is another one, nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    # malloc.h's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes.
    for parameter, value in ((-3, 2**25), (-1, 2**31 - 1), (-2, 2**26)):
        libc.mallopt(parameter, value)


@cache
def has_fast_bf16(device: torch.device) -> bool:
    """Whether products in bf16 run natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's with the number of threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name} x {torch.get_num_threads()} threads"


def peak_flops(runtime: Runtime, cache: Path) -> float:
    """This machine's measured rate of large matrix products in FLOP/s, once a machine and dtype.

    It is what `mfu` is relative to: measured, since no table knows every processor. A cache that
    cannot be read or written costs a run no more than the measurement.
    """
    key = f"{device_name(runtime.device)}, {runtime.precision}, torch {torch.__version__}"
    file = cache / "peak_flops.json"
    known: dict[str, float] = {}
    with suppress(OSError, ValueError):
        known = json.loads(file.read_text())
    if key not in known:
        known[key] = _measure_peak(runtime)
        with suppress(OSError):
            write_whole(file, json.dumps(known, indent=1))
    return known[key]


def _measure_peak(runtime: Runtime) -> float:
    """The best rate of square products, as large as take a moment."""
    n, largest = 512, 8192 if runtime.device.type == "cuda" else 1536
    while (best := _product_seconds(n, runtime)) < 0.05 and n < largest:
        n = min(2 * n, largest)
    return 2 * n**3 / min(best, _product_seconds(n, runtime))


def _product_seconds(n: int, runtime: Runtime) -> float:
    """The least seconds of three products of `n` by `n`."""
    a = torch.randn(n, n, device=runtime.device).to(runtime.dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        a @ a
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {"python": platform.python_version()}
    for package in ("tinyscale", "torch", "mlflow", "datasets", "tokenizers", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_state(folder: Path) -> tuple[str, bool] | None:
    """The commit that a package's folder is at and whether files differ from it; None where git
    does not track it, as where it is installed within somebody's own repository."""
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
