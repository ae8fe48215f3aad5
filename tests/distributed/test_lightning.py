"""Through Lightning's DDP strategy: two processes train to the weights of one, and measure the same."""

import pytest
import torch


@pytest.fixture(scope="module")
def cases(load):
    return load("lightning_cases")


@pytest.fixture(scope="module")
def found(two_processes):
    return two_processes("lightning")


MULTITASK = ("uncertainty", "pcgrad", "mgda", "nash_mtl", "gradnorm", "db_mtl", "graddrop", "excess_mtl", "experts")
MULTITASK += ("batch norm",)
MULTITASK += tuple(f"features of {name}" for name in ("mgda", "graddrop", "db_mtl", "excess_mtl", "gradnorm"))
NAMES = ["dan", "dan, unequal", "dann, unequal", "finetuning", "multitask", "oneshot"]
NAMES += ["dan, batch norm", "cdan, batch norm", "mcd", "finetuning, batch norm", "oneshot, batch norm"]
NAMES += ["dan, shots", "m3sda, two sources", "fixmatch", "self_ensembling"]
NAMES += ["oneshot, maml", "oneshot, fomaml", "oneshot, anil", "oneshot, meta_sgd", "oneshot, reptile"]


@pytest.mark.parametrize("name", [*NAMES, *[f"multitask, {name}" for name in MULTITASK]])
def test_weights_and_measurements_equal_those_of_one_process(name, cases, found):
    alone = cases.train(name, devices=1)
    for result in found:
        together = result[name]
        assert set(together["weights"]) == set(alone["weights"])
        for key, value in alone["weights"].items():
            torch.testing.assert_close(together["weights"][key], value, rtol=1e-10, atol=1e-10, msg=key)
        assert together["logged"] == pytest.approx(alone["logged"], rel=1e-6)


def test_without_gathering_the_weights_are_others(cases, found):
    alone = cases.train("dan", devices=1)["weights"]
    first, second = (result["dan, not gathered"]["weights"] for result in found)
    assert all(torch.equal(first[key], second[key]) for key in first)  # DDP still keeps the processes alike
    assert any((first[key] - alone[key]).abs().max() > 1e-4 for key in alone if "weight" in key)


def test_a_run_of_several_processes_resumes_to_the_last_bit(two_processes):
    """Each process has random states of its own."""
    for result in two_processes("resuming"):
        assert all(torch.equal(value, result["resumed"][name]) for name, value in result["whole"].items())


def test_batch_norm_per_process_is_something_else(cases, found):
    """Without gathering, batch norm is left to each process, as the losses are."""
    norms = [case for case in cases.CASES if "batch norm" in case]
    assert len(norms) == 5
    assert all("running_mean" in "".join(found[0][case]["weights"]) for case in norms)
