"""The chunked loss against `F.cross_entropy`."""

import pytest
import torch
from torch.nn import functional as F

from scaling.model import head
from scaling.model.head import cap, head_loss


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("multiple", [1, 64])
def test_chunks_give_the_loss_and_gradients_of_the_whole(
    members: int, softcap: float | None, multiple: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "CHUNK", {"cpu": 1})  # chunks of 16 rows, the least
    monkeypatch.setattr(head, "PAD", {"cpu": multiple})  # 11 tokens, or as on a GPU more rows
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(members, 2, 25, 8, generator=generator, requires_grad=True)
    weight = torch.randn(members, 11, 8, generator=generator, requires_grad=True)
    targets = torch.randint(0, 11, (members, 2, 25), generator=generator)
    targets[:, 0, ::3] = -100
    loss = head_loss(hidden, weight, targets, softcap)
    scale = torch.arange(1.0, members + 1)
    grads = torch.autograd.grad((loss * scale).sum(), [hidden, weight])
    for k in range(members):
        logits = cap(hidden[k].flatten(0, 1) @ weight[k].T, softcap)
        expected = F.cross_entropy(logits, targets[k].flatten(), reduction="sum")
        torch.testing.assert_close(loss[k], expected)
        own = torch.autograd.grad(expected * scale[k], [hidden, weight])
        for one, two in zip(grads, own, strict=True):
            torch.testing.assert_close(one[k], two[k], rtol=1e-4, atol=1e-5)


def test_without_gradients_the_loss_is_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 50, (2, 4, 16), generator=generator)
    weight = torch.randn(2, 50, 8, generator=generator, requires_grad=True)
    for dtype in (torch.float32, torch.bfloat16):
        hidden = torch.randn(2, 4, 16, 8, generator=generator).to(dtype)
        training = head_loss(hidden, weight, targets)
        with torch.no_grad():
            torch.testing.assert_close(head_loss(hidden, weight, targets), training.detach())
        logits = hidden.float().flatten(1, 2) @ weight.detach().to(dtype).float().transpose(1, 2)
        exact = F.cross_entropy(logits.transpose(1, 2), targets.flatten(1), reduction="none").sum(
            1
        )
        torch.testing.assert_close(training, exact, rtol=1e-3, atol=0)


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    hidden, weight = torch.randn(1, 2, 8, 4), torch.randn(1, 9, 4, requires_grad=True)
    targets = torch.zeros(1, 2, 8, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head_loss(hidden, weight, targets)
    assert counter.get_total_flops() == 2 * 16 * 9 * 4
