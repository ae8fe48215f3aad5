from dataclasses import replace

import numpy as np
import pytest

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, ZeroShotTask
from tlzoo.types import Sees, SupervisionError

S = Sees
RAW = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
WHOLE = ExampleSet(
    inputs=RAW,
    modality="features",
    labels=np.arange(40) % 4,
    domains=np.arange(40) % 2,
    targets={"left": np.arange(40) + 1000, "right": np.arange(40) + 2000},
    attributes={"concept": np.arange(40) + 3000},
    checksum="raw",
)
NAMES = ("a", "b", "c", "d")


def part(first, last):
    return WHOLE.subset(np.arange(first, last))


def domain_task():
    return DomainTask(
        name="toy",
        class_names=NAMES,
        source_train=part(0, 10),
        source_test=part(10, 20),
        target_train=part(20, 30),
        target_test=part(30, 40),
    )


def multitask_task():
    targets = {"left": Target(classes=4000), "right": Target(classes=4000)}
    return MultitaskTask(name="toy", targets=targets, train=part(0, 20), validation=part(20, 30), test=part(30, 40))


def episode_task():
    labels = np.repeat(np.arange(20), 2) + 500
    sets = [part(0, 20), part(20, 30), part(30, 40)]
    base, validation, novel = (
        s.with_labels(labels[a:b]) for s, (a, b) in zip(sets, [(0, 20), (20, 30), (30, 40)], strict=True)
    )
    return EpisodeTask(name="toy", base=base, validation=validation, novel=novel, way=3, query=1)


def zeroshot_task():
    def of(*classes):
        return WHOLE.subset(np.isin(WHOLE.labels, classes))

    return ZeroShotTask(
        name="toy",
        class_names=NAMES,
        descriptions=NAMES,
        seen=np.array([1, 3]),
        held_out=np.array([2]),
        unseen=np.array([0]),
        train=of(1, 3),
        validation=of(2),
        test=of(0),
        embeddings=np.arange(8, dtype=np.float32).reshape(4, 2) + 4000,
    )


def reachable(value, seen=None):
    """Yield all that attributes, containers, bases of arrays and closures lead to."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, str | bytes | int | float | type(None) | type):
        return
    seen.add(id(value))
    yield value
    inner = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, np.ndarray):
        inner.append(value.base)
    if isinstance(value, dict):
        inner += [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        inner += list(value)
    inner += [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    for item in inner:
        yield from reachable(item, seen)


def assert_not_reachable(view, *withheld):
    """No array that the view leads to holds a row of what is withheld."""
    arrays = [value for value in reachable(view) if isinstance(value, np.ndarray)]
    assert arrays  # the walk finds something at all
    for array in arrays:
        for secret in withheld:
            rows = np.asarray(secret)
            if array.ndim == rows.ndim and array.shape[1:] == rows.shape[1:] and array.dtype == rows.dtype:
                same = (array[:, None] == rows[None]).reshape(len(array), len(rows), -1).all(axis=-1)
                assert not same.any(), f"{array.shape} holds what is withheld"


DAN = {S.SOURCE_INPUTS, S.SOURCE_LABELS, S.TARGET_INPUTS}


def test_a_domain_view_is_what_is_declared():
    view = domain_task().training_data(DAN, by="dan")
    assert view.source.labels.tolist() == (np.arange(10) % 4).tolist()
    np.testing.assert_array_equal(view.target.inputs[np.arange(10)], RAW[20:30])
    assert view.target.batch(np.array([1])).labels is None
    assert view.source.batch(np.array([1])).labels.tolist() == [1]


def test_declared_target_labels_are_handed_out():
    view = domain_task().training_data({*DAN, S.TARGET_LABELS}, by="target_only")
    assert view.target.labels.tolist() == (np.arange(20, 30) % 4).tolist()


@pytest.mark.parametrize(
    ("sees", "reach"),
    [
        (DAN, lambda view: view.target.labels),
        (DAN, lambda view: view.target.attributes),
        (DAN, lambda view: view.target.targets),
        (DAN, lambda view: view.source.attributes),
        (DAN - {S.SOURCE_LABELS}, lambda view: view.source.labels),
        (DAN - {S.SOURCE_INPUTS}, lambda view: view.source),
        (DAN - {S.TARGET_INPUTS}, lambda view: view.target),
        (DAN, lambda view: view.target.subset(np.array([0])).labels),
        (DAN, lambda view: view.target.detached().labels),
    ],
)
def test_undeclared_access_to_a_domain_view_raises(sees, reach):
    with pytest.raises(SupervisionError, match=r"\w+: shot (does not declare that it sees this|declares .* only)"):
        reach(domain_task().training_data(sees, by="shot"))


def test_test_sets_are_no_part_of_a_view():
    view = domain_task().training_data(set(Sees), by="all")
    with pytest.raises(AttributeError):
        _ = view.target_test


@pytest.mark.parametrize(
    "sees", [DAN, DAN - {S.SOURCE_INPUTS, S.SOURCE_LABELS}, DAN - {S.SOURCE_LABELS}, {S.TARGET_INPUTS}]
)
def test_nothing_in_a_domain_view_leads_to_what_is_withheld(sees):
    task = replace(domain_task(), class_names=tuple(map(str, range(500))))
    # each label array with a value of its own, so that a hit is a leak and no coincidence
    for place, name in enumerate(task.sets()):
        changed = getattr(task, name).with_labels(np.arange(10) + 100 * (place + 1))
        task = replace(task, **{name: changed})
    withheld = [RAW[10:20], RAW[30:40], task.source_test.labels, task.target_train.labels, task.target_test.labels]
    if S.SOURCE_LABELS not in sees:
        withheld.append(task.source_train.labels)
    if S.SOURCE_INPUTS not in sees:
        withheld.append(RAW[:10])
    withheld += [WHOLE.targets["left"], WHOLE.attributes["concept"]]
    assert_not_reachable(task.training_data(sees, by="toy"), *withheld)


def test_the_walk_finds_a_planted_leak():
    view = domain_task().training_data(DAN, by="dan")
    object.__setattr__(view.target, "_kept", part(30, 40))
    with pytest.raises(AssertionError, match="holds what is withheld"):
        assert_not_reachable(view, RAW[30:40])


def test_multitask_views():
    task = multitask_task()
    sees = {S.TARGET_INPUTS, S.TARGET_LABELS}
    view = task.training_data(sees, by="equal")
    assert view.train.targets["left"].tolist() == list(range(1000, 1020))
    for reach in (lambda: view.validation, lambda: view.train.labels, lambda: view.train.attributes):
        with pytest.raises(SupervisionError, match="equal"):
            reach()
    assert_not_reachable(view, RAW[20:], WHOLE.targets["left"][20:], WHOLE.attributes["concept"])
    unlabelled = task.training_data({S.TARGET_INPUTS}, by="toy")
    with pytest.raises(SupervisionError, match="targets: toy does not declare"):
        _ = unlabelled.train.targets
    selected = task.training_data({*sees, S.VALIDATION_LABELS}, by="tuned")
    assert selected.validation.targets["right"].tolist() == list(range(2020, 2030))


def test_episode_views():
    task = episode_task()
    with pytest.raises(SupervisionError, match="base: protonet declares target inputs, target labels only"):
        _ = task.training_data({S.TARGET_INPUTS, S.TARGET_LABELS}, by="protonet").base
    centered = task.training_data({S.SOURCE_INPUTS}, by="simpleshot")
    assert len(centered.base) == 20
    with pytest.raises(SupervisionError, match="labels: simpleshot"):
        _ = centered.base.labels
    assert_not_reachable(centered, RAW[20:], task.base.labels, task.novel.labels)


def test_episodes_of_a_task_come_from_the_split_asked_for():
    task = episode_task()
    episode = task.episodes(seed=0)(0)
    assert len(episode.support) == 3
    assert len(task.episodes("base", seed=0, way=5)(0).support) == 5
    with pytest.raises(ValueError, match=r"6-way episodes need 6 classes .* 5 of 5 classes"):
        task.episodes(seed=0, way=6)
    unlabelled = replace(task, base=replace(task.base, labels=None))
    with pytest.raises(ValueError, match="base of toy has no labels"):
        unlabelled.episodes("base", seed=0)
    with pytest.raises(ValueError, match="toy: novel has no labels, which the task is made of"):
        replace(task, novel=replace(task.novel, labels=None))


def test_zero_shot_views_count_labels_within_the_seen_classes():
    task = zeroshot_task()
    sees = {S.SOURCE_INPUTS, S.SOURCE_LABELS, S.CLASS_DESCRIPTIONS}
    view = task.training_data(sees, by="eszsl")
    assert set(view.train.labels.tolist()) == {0, 1}
    np.testing.assert_array_equal(view.class_embeddings, task.embeddings[[1, 3]])
    with pytest.raises(SupervisionError, match="unseen_embeddings: eszsl declares"):
        _ = view.unseen_embeddings
    assert_not_reachable(view, task.embeddings[[0, 2]], RAW[0::4], RAW[2::4], WHOLE.attributes["concept"])
    generating = task.training_data({*sees, S.UNSEEN_DESCRIPTIONS}, by="clswgan")
    np.testing.assert_array_equal(generating.unseen_embeddings, task.embeddings[[0]])
    with pytest.raises(SupervisionError, match="train: cosine"):
        _ = task.training_data({S.CLASS_DESCRIPTIONS}, by="cosine").train


def test_zero_shot_views_say_what_is_missing():
    task = zeroshot_task()
    with pytest.raises(ValueError, match="not encoded yet"):
        replace(task, embeddings=None).training_data({S.CLASS_DESCRIPTIONS}, by="cosine")
    untrained = replace(task, train=None, seen=np.empty(0, dtype=np.int64))
    with pytest.raises(ValueError, match="has no training examples, which eszsl wants"):
        untrained.training_data({S.SOURCE_INPUTS, S.CLASS_DESCRIPTIONS}, by="eszsl")
    assert untrained.training_data({S.CLASS_DESCRIPTIONS}, by="cosine").class_embeddings.shape == (0, 2)


def test_held_out_classes_join_the_seen_ones():
    task = zeroshot_task()
    joined = task.with_held_out_seen()
    assert joined.seen.tolist() == [1, 2, 3]
    assert len(joined.held_out) == 0
    assert joined.validation is None
    assert sorted(joined.train.labels.tolist()) == [1] * 10 + [2] * 10 + [3] * 10
    sees = {S.SOURCE_INPUTS, S.SOURCE_LABELS, S.CLASS_DESCRIPTIONS}
    assert set(joined.training_data(sees, by="eszsl").train.labels.tolist()) == {0, 1, 2}
    with pytest.raises(ValueError, match="toy has no training and held-out classes"):
        joined.with_held_out_seen()


def test_target_shots():
    task = domain_task().with_target_shots(2, seed=0)
    assert np.bincount(task.target_train.labels).tolist() == [2, 2, 2, 2]
    assert task.target_test is not None
    assert task.checksum == domain_task().with_target_shots(2, seed=0).checksum
    assert task.checksum != domain_task().with_target_shots(2, seed=1).checksum
    unlabelled = replace(domain_task(), target_train=replace(part(20, 30), labels=None))
    with pytest.raises(ValueError, match="toy has no target labels to draw shots from"):
        unlabelled.with_target_shots(1, seed=0)


def changed_tasks():
    task, several, zero, episodes = domain_task(), multitask_task(), zeroshot_task(), episode_task()
    yield task, replace(task, revision=2)
    yield task, replace(task, class_names=("a", "b", "c", "e"))
    yield task, replace(task, metric="balanced_accuracy")
    yield task, replace(task, target_test=part(29, 39))
    yield task, replace(task, target_test=task.target_test.with_labels(np.zeros(10, dtype=np.int64)))
    yield task, replace(task, source_train=replace(task.source_train, domains=np.zeros(10, dtype=np.int64)))
    yield several, replace(several, targets={**several.targets, "right": Target(classes=5000)})
    yield several, replace(several, test=replace(several.test, targets={"left": np.zeros(10), "right": np.ones(10)}))
    yield zero, replace(zero, descriptions=("a", "b", "c", "something else"))
    yield zero, replace(zero, seen=zero.seen[::-1])
    yield zero, replace(zero, validation=None)
    yield episodes, replace(episodes, cross_domain=True)


@pytest.mark.parametrize("pair", list(changed_tasks()))
def test_the_checksum_sees_all_that_the_protocol_fixes(pair):
    task, changed = pair
    assert task.checksum == replace(task).checksum
    assert task.checksum != changed.checksum


def test_the_checksum_is_that_of_the_data_not_of_features():
    task = domain_task()
    featured = task.map_sets(lambda examples: examples.with_inputs(np.zeros((len(examples), 7))))
    assert featured.source_train.inputs.shape == (10, 7)
    assert featured.checksum == task.checksum
    assert replace(zeroshot_task(), embeddings=None).checksum == zeroshot_task().checksum


TASKS = {"domain": domain_task, "multitask": multitask_task, "episode": episode_task, "zeroshot": zeroshot_task}
MAY_BE_EMPTY = {"domain": {"source_train", "source_test"}, "episode": {"base", "validation"}}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, make in TASKS.items() for name in make().sets()])
def test_sets_that_training_and_test_need_are_not_empty(kind, name):
    task = TASKS[kind]()
    change = {name: task.sets()[name].subset(np.arange(0))}
    if name in MAY_BE_EMPTY.get(kind, ()):
        assert not len(replace(task, **change).sets()[name])
        return
    with pytest.raises(ValueError, match=f"^toy: {name} is empty; expected at least one example$"):
        replace(task, **change)


def test_an_unlabelled_test_or_shots_are_not_empty_either():
    task = domain_task()
    nobody = task.target_test.subset(np.arange(0))
    with pytest.raises(ValueError, match="target_test is empty"):
        replace(task, target_test=ExampleSet(inputs=RAW[:0], modality="features"))
    with pytest.raises(ValueError, match="shots is empty"):
        replace(task, shots=nobody)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_each_target_has_a_label_in_each_set(name):
    task = multitask_task()
    examples = task.sets()[name]
    targets = {**examples.targets, "right": np.full(len(examples), -1)}
    with pytest.raises(ValueError, match=f"^toy: {name}: right has no label; leave the target out"):
        replace(task, **{name: replace(examples, targets=targets)})
    values = {"left": Target(classes=0), "right": Target(classes=0)}
    targets["right"] = np.full(len(examples), np.nan)
    with pytest.raises(ValueError, match=f"^toy: {name}: right has no label"):
        replace(task, targets=values, **{name: replace(examples, targets=targets)})


def test_a_multitask_task_has_targets():
    with pytest.raises(ValueError, match=r"^toy has no targets; expected name -> Target$"):
        replace(multitask_task(), targets={})
