"""A call without arguments, recorded once as a CUDA graph and replayed from then on."""

import warnings
from collections.abc import Callable

import torch

from scaling.memory import is_out_of_memory

PLAIN_CALLS = 3  # before recording: kernels are compiled and chosen, lazy state comes to be
UNWATCHED = 10  # calls that a timing gives a card at once, as a run does between its logs


class Recorded:
    """Calls one function, which reads and writes only tensors that stay where they are.

    The first calls run as they are, each doing its work; then one is recorded and replayed, and
    every further call is a replay: one launch in place of hundreds. The function may not wait for
    the device, and what it computes with numbers of the host is computed with those of the
    recording for ever. On a CPU there are no graphs, and every call is plain.

    A function that cannot be recorded goes on being called, and a warning says why. It is given at
    each call: kept here, a method would hold its object, and that one's memory, in a cycle.
    """

    def __init__(self, device: torch.device) -> None:
        self._able = device.type == "cuda"
        self._plain = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._side: torch.cuda.Stream | None = None
        if self._able:
            self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @property
    def recorded(self) -> bool:
        """Whether calls are replays by now."""
        return self._graph is not None

    @property
    def settled(self) -> bool:
        """Whether calls are by now what they will be: not those that compile and record."""
        return self.recorded or not self._able

    def forget(self) -> None:
        """Start over: a tensor that the function uses has moved."""
        self._plain, self._graph = 0, None

    def __call__(self, call: Callable[[], None]) -> None:
        """Do the function's work once."""
        if self._graph is not None:
            self._graph.replay()
        elif not self._able:
            call()
        elif self._plain < PLAIN_CALLS:
            self._plain += 1
            self._call_aside(call)
        elif self._record(call):
            assert self._graph is not None
            self._graph.replay()  # recording has computed nothing
        else:
            call()

    def _call_aside(self, call: Callable[[], None]) -> None:
        """A plain call on a stream of its own, as recording wants those before it."""
        assert self._side is not None
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side), warnings.catch_warnings():
            # An optimizer made to be recorded says at its first plain step that it is not.
            warnings.filterwarnings("ignore", message="This instance was constructed with cap")
            call()
        torch.cuda.current_stream().wait_stream(self._side)

    def _record(self, call: Callable[[], None]) -> bool:
        graph = torch.cuda.CUDAGraph()
        try:
            # A recording that fails leaves its own stream behind, hence the outer context. Other
            # threads (the sender's) may do as they like meanwhile.
            with (
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                call()
        except RuntimeError as error:
            self._able = False
            if is_out_of_memory(error):
                raise
            torch.cuda.synchronize()
            warnings.warn(
                f"the step cannot be recorded as a CUDA graph and runs slower: {error}",
                stacklevel=2,
            )
            return False
        self._graph = graph
        return True
