"""Streams of corrupted pictures: what comes when, and that the harness keeps to it."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

import tlzoo
from tlzoo.bench.protocols.test_time import TestTimeProtocol
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.data.corruptions import CORRUPTIONS, corrupt

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def streams():
    kinds = ("reset", "continual", "mixed", "correlated")
    return {kind: load_task(f"mnist5k-c:{kind}", kind="domain") for kind in kinds}


def order(task, seed=0):
    return tlzoo.DomainData(task, seed=seed).order_of(task.target_test)


def test_every_corruption_shows_the_same_test_pictures(streams):
    test, clean = streams["reset"].target_test, streams["reset"].source_test
    blocks = test.labels.reshape(len(CORRUPTIONS), -1)
    assert (blocks == blocks[0]).all()
    shown = np.random.default_rng(0).permutation(len(clean))[:3]
    for number, name in enumerate(CORRUPTIONS):
        expected = corrupt(clean.inputs[shown], name, 3, first=number * 1000)
        np.testing.assert_array_equal(test.inputs[np.arange(3) + number * 200], expected)


def test_streams_differ_in_order_alone(streams):
    first = streams["reset"].target_test
    for task in streams.values():
        np.testing.assert_array_equal(task.target_test.labels, first.labels)
        assert task.target_test.checksum == first.checksum  # features are extracted once
        assert sorted(order(task)) == list(range(len(first)))


def test_blocks_come_one_after_the_other_and_pictures_in_them_by_seed(streams):
    for kind in ("reset", "continual"):
        found = order(streams[kind])
        assert (found // 200 == np.repeat(np.arange(15), 200)).all()
        assert not np.array_equal(found, order(streams[kind], seed=1))
    mixed = order(streams["mixed"])
    assert len(np.unique(mixed[:100] // 200)) > 10


def test_classes_come_in_bursts(streams):
    def changes(kind):
        labels = streams[kind].target_test.labels[order(streams[kind])]
        return float((np.diff(labels) != 0).mean())

    assert changes("correlated") < 0.35 < 0.8 < changes("continual")
    np.testing.assert_array_equal(order(streams["correlated"]), order(streams["correlated"], seed=1))


def test_the_gradual_stream_grows_and_wanes():
    task = load_task("mnist5k-c:gradual", kind="domain")
    assert len(np.unique(task.target_test.attributes["segment"])) == 15 * 9
    size, clean = len(task.target_test) // (15 * 9), task.source_test
    shown = np.random.default_rng(0).permutation(len(clean))
    for step, severity in enumerate((1, 2, 3, 4, 5, 4, 3, 2, 1)):
        picture = clean.inputs[shown[step * size : step * size + 1]]
        expected = corrupt(picture, "gaussian_noise", severity, first=step * 1000)
        np.testing.assert_array_equal(task.target_test.inputs[np.array([step * size])], expected)


def test_no_test_picture_is_trained_on(streams):
    task = streams["reset"]
    train = {picture.tobytes() for picture in task.source_train.inputs[np.arange(len(task.source_train))]}
    assert not any(p.tobytes() in train for p in task.source_test.inputs[np.arange(len(task.source_test))])
    assert len(task.target_train) == 1000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    suite = yaml.safe_load(find_suite("corruption-streams").read_text(encoding="utf-8"))
    group = suite["groups"][0]
    group["budget"] = {"steps": 2, "batch_size": 64}
    group["methods"] = ["source_only", "rdumb", "target_only"]
    small = {**suite, "groups": [group], "seeds": 1}
    return tlzoo.run_suite(small, store=tmp_path_factory.mktemp("store"), executor="in_process", progress=False)


def test_the_suite_runs_in_small(run):
    assert not run.failures()
    frame = run.to_dataframe()
    assert len(frame) == 3
    assert frame["test/accuracy"].between(0.02, 1).all()


def test_the_method_starts_anew_at_each_corruption_and_only_where_the_stream_says(run, monkeypatch):
    cell = next(cell for cell in run.plan.cells if cell.method == "adaptation/rdumb")
    cell = replace(cell, budget={**cell.budget, "stream_batch": 50})
    for task, resets, sizes in (("mnist5k-c:reset", 14, 60), ("mnist5k-c:continual", 0, 60)):
        protocol = TestTimeProtocol(replace(cell, task=task), lambda _: None)
        made = protocol.build(protocol.cell, {})
        seen = {"resets": 0, "batches": []}
        answer = made.method.adapt

        def adapt(inputs, seen=seen, answer=answer):
            seen["batches"].append(len(inputs))
            return answer(inputs)

        monkeypatch.setattr(made.method, "reset", lambda seen=seen: seen.update(resets=seen["resets"] + 1))
        monkeypatch.setattr(made.method, "adapt", adapt)
        protocol.train(made)
        assert seen["resets"] == resets
        assert seen["batches"] == [50] * sizes


def test_an_unknown_stream_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="mnist5k-c:continual"):
        load_task("mnist5k-c:continuous")
