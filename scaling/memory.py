"""Too little memory: told apart from other errors, and said in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from scaling.errors import UserError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no more memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)  # torch's, of which that of a CPU has no class of its own
    said = ("allocate memory", "out of memory", "ALLOC_FAILED")  # the last is cuBLAS's and cuDNN's
    return isinstance(error, RuntimeError) and any(one in text for one in said)


@contextmanager
def lack_of_memory_is_said() -> Iterator[None]:
    """Raise `UserError` in place of the error of too little memory."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"there is too little memory ({str(error).splitlines()[0]}); a smaller"
            " batch.micro_size, data.context_length or model takes less."
        ) from error
