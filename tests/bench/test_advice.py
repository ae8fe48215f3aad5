"""Advice: what it rests on, when it abstains, and that no target label is read."""

from dataclasses import replace

import numpy as np
import pytest

from tlzoo.bench.advice import COMPARED, Known, advise, known_tasks, recommended
from tlzoo.data import DomainTask, ExampleSet


def known(place, gain, **methods):
    measures = dict.fromkeys(COMPARED, 0.0) | {"probe": float(place)}
    return Known(f"task {place}", measures, 0.5, {"mcc": 0.5 + gain, "dan": 0.5, **methods})


def test_the_nearest_tasks_decide():
    tasks = [known(place, 0.1 if place < 5 else -0.1) for place in range(10)]
    method, gain, error, alike = recommended(known(1, 0).measures, tasks)
    assert (method, gain, error) == ("mcc", pytest.approx(0.1), pytest.approx(0.0))
    assert set(alike) == {f"task {place}" for place in range(5)}
    method, gain, *_ = recommended(known(9, 0).measures, tasks)
    assert (method, gain) == ("", 0.0)  # the best of them gains nothing


def test_a_gain_within_its_error_is_no_recommendation():
    tasks = [known(place, gain) for place, gain in enumerate((0.3, -0.2, 0.1, -0.2, 0.2))]
    method, gain, error, _ = recommended(known(2, 0).measures, tasks)
    assert method == ""
    assert 0 < gain < error


def test_methods_that_some_of_the_tasks_lack_are_left_out():
    tasks = [known(place, 0.05, **({"rare": 0.9} if place else {})) for place in range(5)]
    assert recommended(known(0, 0).measures, tasks)[0] == "mcc"
    with pytest.raises(ValueError, match="no results to advise by"):
        recommended({}, [])


def examples(count, shift, seed):
    labels = np.arange(count) % 3
    inputs = 3 * np.eye(6)[labels] + np.random.default_rng(seed).normal(size=(count, 6)) + shift
    return ExampleSet(inputs=inputs.astype(np.float32), modality="features", labels=labels)


def test_a_task_of_arrays_without_target_labels():
    task = DomainTask(
        name="mine",
        class_names=tuple("abc"),
        source_train=examples(90, 0.0, 0),
        source_test=examples(60, 0.0, 1),
        target_train=examples(80, 0.7, 2),
        target_test=examples(50, 0.7, 3),
    )
    advice = advise(task, backbone="identity")
    assert advice.measures["probe"] > 0.7
    assert advice.measures["source"] > 0.85
    assert 0 <= advice.measures["label_shift"] < 0.2
    assert len(advice.alike) == 5
    assert "points" in str(advice).splitlines()[-1]
    nobody = task.source_test.subset(np.arange(0))
    for few in (
        {"source_test": nobody},
        {"source_train": nobody},
        {"target_train": task.target_train.subset(np.arange(3))},
    ):
        (name,) = few
        size = len(few[name])
        with pytest.raises(ValueError, match=f"^mine: {name} has {size} examples; advice needs 4 or more"):
            advise(replace(task, **few), backbone="identity")
    with pytest.raises(TypeError, match=r"^got 5; advice is for domain adaptation"):
        advise(5)
    texts = {
        name: ExampleSet(inputs=["a"] * len(part), modality="text", labels=part.labels)
        for name, part in task.sets().items()
    }
    with pytest.raises(ValueError, match=r"^mine holds text items; name a backbone for them"):
        advise(replace(task, **texts), backbone="identity")
    flat = {name: part.with_inputs(np.zeros((len(part), 6), np.float32)) for name, part in task.sets().items()}
    assert np.isfinite(list(advise(replace(task, **flat), backbone="identity").measures.values())).all()
    blind = replace(task, target_train=task.target_train.with_labels(np.full(80, -1)))
    assert advise(blind, backbone="identity").measures == advice.measures


def test_what_is_known_is_of_the_committed_tasks():
    tasks = known_tasks()
    assert len(tasks) > 15
    assert all(0 < task.baseline < 1 and set(COMPARED) <= set(task.measures) and task.methods for task in tasks)
