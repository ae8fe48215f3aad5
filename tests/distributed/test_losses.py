"""Batch-level losses mean the joined batch: loss and gradient of two processes are those of one."""

import pytest
import torch


@pytest.fixture(scope="module")
def workers(load):
    return load("workers")


@pytest.fixture(scope="module")
def found(two_processes):
    return two_processes("losses")


@pytest.mark.parametrize("shares", ["equal", "unequal", "very unequal"])
@pytest.mark.parametrize("method", ["dan", "deep_coral", "dann", "cdan"])
def test_two_processes_equal_one(method, shares, workers, found):
    alone = workers.step(method, *workers.joint_batch(workers.SHARES[shares]), join=lambda rows: rows)
    for result in found:
        together = result[method, shares]
        torch.testing.assert_close(together["loss"], alone["loss"], rtol=1e-10, atol=1e-10)
        assert torch.equal(together["labels"], alone["labels"])
        for ours, theirs in zip(together["gradients"], alone["gradients"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ["dan", "deep_coral"])
def test_losses_of_shares_are_something_else(method, workers):
    """Were it not so, the test above could not fail."""
    shares = workers.SHARES["equal"]
    source, labels, target = workers.joint_batch(shares)
    alone = workers.step(method, source, labels, target, join=lambda rows: rows)
    halves = [
        workers.step(
            method,
            *(workers.share_of(rank, rows, shares[0]) for rows in (source, labels)),
            workers.share_of(rank, target, shares[1]),
            join=lambda rows: rows,
        )
        for rank in range(2)
    ]
    mean = sum(half["loss"] for half in halves) / 2
    assert abs(float(mean - alone["loss"])) > 1e-3 * float(alone["loss"])
