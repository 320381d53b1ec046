"""A recording of a function's work on tensors that runs on any machine, as a CUDA graph does."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from scaling.graph import PLAIN_CALLS

aten = torch.ops.aten
# What needs a value, or a size that hangs on values: on a card the host would wait for it.
WAITS = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class Tape(TorchDispatchMode):
    """While entered, notes each operation with its tensors; `replay` does them all again.

    A replay computes with the tensors and the numbers of the recording, and leaves its results in
    them: what is in other tensors by then, or in Python, it knows nothing of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[..., Any], Sequence[Any], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        masks = [
            one
            for one in (tree_leaves(args[1]) if func in INDEXING else [])
            if isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)
        ]
        assert func not in WAITS and not masks, f"{func} waits for the device"
        result = func(*args, **(kwargs or {}))
        aliases = [one.alias_info for one in func._schema.returns]
        if not any(alias is not None and not alias.is_write for alias in aliases):  # no view
            self.operations.append((func, *tree_map(_bare, (args, kwargs or {}, result))))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Do the noted operations on the tensors that they were done on."""
        for func, args, kwargs, result in self.operations:
            again = func(*args, **kwargs)
            for new, noted in zip(tree_leaves(again), tree_leaves(result), strict=True):
                if isinstance(noted, Tensor) and new.data_ptr() != noted.data_ptr():
                    noted.copy_(new)


def _bare(one: Any) -> Any:
    """A tensor's memory without its history."""
    return one.detach() if isinstance(one, Tensor) else one


class Taped:
    """Stands in for `scaling.graph.Recorded`: some plain calls, one on tape, then replays."""

    settled = True

    def __init__(self) -> None:
        self.plain, self.tape = 0, Tape()

    def __call__(self, call: Callable[[], None]) -> None:
        if self.plain < PLAIN_CALLS:
            self.plain += 1
            call()
        elif not self.tape.operations:
            with self.tape:
                call()
        else:
            self.tape.replay()
