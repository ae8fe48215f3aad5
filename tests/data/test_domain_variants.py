"""Domain tasks that are made of others: a few labelled target examples, several sources, several targets."""

from dataclasses import replace

import numpy as np
import pytest

from tlzoo.data import DomainTask, ExampleSet, load_task
from tlzoo.data.catalog import task_revision
from tlzoo.data.multi_domain import pooled_adaptation
from tlzoo.data.samplers import BalancedSampler
from tlzoo.types import Sees, SupervisionError

S = Sees
DAN = {S.SOURCE_INPUTS, S.SOURCE_LABELS, S.TARGET_INPUTS}
RAW = {name: np.random.default_rng(seed).normal(size=(40, 3)) for seed, name in enumerate("abc")}


def examples(domain, first, last, classes=4):
    whole = ExampleSet(inputs=RAW[domain], modality="features", labels=np.arange(40) % classes, checksum=domain)
    return whole.subset(np.arange(first, last))


def task(source="a", target="b", **changes):
    return DomainTask(
        name=f"toy:{source}->{target}",
        class_names=tuple("wxyz"),
        source_train=examples(source, 0, 20),
        source_test=examples(source, 20, 30),
        target_train=examples(target, 0, 24),
        target_test=examples(target, 24, 40),
        **changes,
    )


def rows(examples):
    return np.asarray(examples.inputs[np.arange(len(examples))])


# --- shots


@pytest.mark.parametrize("shots", [1, 3])
def test_shots_leave_the_unlabelled_target(shots):
    few = task().semi_supervised(shots)
    assert np.bincount(few.shots.labels).tolist() == [shots] * 4
    assert few.shots_per_class == shots
    together = np.concatenate([rows(few.shots), rows(few.target_train)])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(rows(task().target_train), axis=0))
    np.testing.assert_array_equal(rows(few.target_test), rows(task().target_test))
    assert not (rows(few.shots)[:, None] == rows(few.target_test)[None]).all(axis=-1).any()


def test_the_draw_is_fixed_and_fewer_shots_are_a_part_of_more():
    one, three = task().semi_supervised(1), task().semi_supervised(3)
    np.testing.assert_array_equal(rows(one.shots), rows(task().semi_supervised(1).shots))
    assert {tuple(row) for row in rows(one.shots)} < {tuple(row) for row in rows(three.shots)}
    assert len({task().checksum, one.checksum, three.checksum}) == 3


def test_shots_are_labelled_for_everybody_and_the_target_stays_unlabelled():
    view = task().semi_supervised(2).training_data(DAN, by="dan")
    assert len(view.shots.labels) == 8
    for reach in (lambda: view.target.labels, lambda: view.shots.attributes, lambda: view.shots.targets):
        with pytest.raises(SupervisionError, match="dan does not declare"):
            reach()
    assert len(view.shots.inputs) == 8  # nothing else of the target is behind them
    assert task().training_data(DAN, by="dan").shots is None


def test_classes_that_the_source_lacks_get_no_shots():
    known = task().source_train.subset(task().source_train.labels < 3)
    few = replace(task(), source_train=known, unknown=3).semi_supervised(2)
    assert np.bincount(few.shots.labels, minlength=4).tolist() == [2, 2, 2, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: task().semi_supervised(0), "expected at least one"),
        (lambda: task().semi_supervised(1).semi_supervised(1), "of a task without shots"),
        (lambda: task().semi_supervised(6), "no unlabelled target example; draw fewer"),
    ],
)
def test_shots_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- several domains


def pooled(sources="ab", targets="c"):
    name = f"toy:{'+'.join(sources)}->{'+'.join(targets)}"
    return pooled_adaptation(name, sources=tuple(sources), targets=tuple(targets), load=task)


def test_several_sources():
    both = pooled()
    assert (both.source_names, both.target_names) == (("a", "b"), ())
    assert both.source_train.domains.tolist() == [0] * 20 + [1] * 20
    np.testing.assert_array_equal(rows(both.source_train), np.concatenate([RAW["a"][:20], RAW["b"][:20]]))
    np.testing.assert_array_equal(both.source_test.labels, np.tile(np.arange(20, 30) % 4, 2))
    np.testing.assert_array_equal(rows(both.target_test), RAW["c"][24:])


def test_several_targets():
    both = pooled("a", "bc")
    assert (both.source_names, both.target_names) == ((), ("b", "c"))
    np.testing.assert_array_equal(rows(both.target_test), np.concatenate([RAW["b"][24:], RAW["c"][24:]]))
    assert both.target_test.domains.tolist() == [0] * 16 + [1] * 16


def test_items_of_pooled_sets_are_read_in_any_order():
    train = pooled().source_train
    np.testing.assert_array_equal(train.inputs[np.array([39, 0, 21, 3])], rows(train)[[39, 0, 21, 3]])
    assert train.inputs[np.empty(0, dtype=np.int64)].shape == (0, 3)
    part = train.subset(np.array([25, 3, 30])).detached()
    np.testing.assert_array_equal(rows(part), np.stack([RAW["b"][5], RAW["a"][3], RAW["b"][10]]))
    assert len(part.inputs.base[0]) == 3  # nothing else is left behind it


def test_subsets_of_one_raw_set_stay_one():
    whole = ExampleSet(inputs=RAW["a"], modality="features", labels=np.arange(40) % 4, checksum="a")
    both = ExampleSet.pooled([whole.subset(np.arange(5)), whole.subset(np.arange(30, 32))])
    assert both.base[0] is whole.inputs
    assert both.base[1].tolist() == [0, 1, 2, 3, 4, 30, 31]


def test_a_view_of_pooled_domains_holds_what_is_declared():
    view = pooled().training_data(DAN, by="dan")
    assert view.source.domains.tolist() == pooled().source_train.domains.tolist()
    with pytest.raises(SupervisionError, match="labels: dan"):
        _ = view.target.labels


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pooled("aa", "b"), ValueError, "names a twice"),
        (lambda: pooled("ab", "b"), ValueError, "names b twice"),
        (
            lambda: pooled_adaptation(
                "x",
                sources=("a", "b"),
                targets=("c",),
                load=lambda s, t: replace(task(s, t), class_names=(s, *"xyz")),
            ),
            ValueError,
            "toy:a->c and toy:b->c differ in classes",
        ),
    ],
)
def test_domains_that_cannot_be_pooled(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_balanced_batches_have_as_many_of_each_source():
    groups = np.array([0] * 50 + [1] * 10 + [2] * 7)
    sampler = BalancedSampler(groups, 8, seed=0)
    for step in range(20):
        assert np.bincount(groups[sampler(step)]).tolist() == [3, 3, 2]
    assert sampler.steps_per_pass == 3
    seen = np.concatenate([sampler(step) for step in range(3)])
    assert len(np.unique(seen)) == 24  # no item twice in a pass
    np.testing.assert_array_equal(BalancedSampler(groups, 8, seed=0)(11), sampler(11))
    with pytest.raises(ValueError, match="batches of 2 for 3 groups"):
        BalancedSampler(groups, 2, seed=0)


# --- by name


@pytest.mark.data
def test_names_of_shots_and_several_domains():
    plain = load_task("emoji/category:google->windows")
    few = load_task("emoji/category:google->windows:3shot")
    assert few.name == "emoji/category:google->windows:3shot"
    assert len(few.shots) == 24
    assert few.target_test.checksum == plain.target_test.checksum
    many = load_task("emoji/category:google+apple->windows+samsung:unpaired:1shot")
    assert many.source_names == ("google", "apple")
    assert many.target_names == ("windows", "samsung")
    assert len(many.shots) == 8
    assert many.source_train.base[0] is plain.source_train.base[0]  # features are extracted once


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emoji-oneshot:3shot", "only domain tasks have shots"),
        ("emoji/category:google+windows->windows", "names windows twice"),
        ("emoji/category:google+appl->windows", "did you mean 'emoji/category:apple->windows'"),
        ("emoji/category:google->windows:0shot", "expected at least one"),
    ],
)
def test_names_that_make_no_sense(name, message):
    with pytest.raises(ValueError, match=message):
        load_task(name)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "revision", "checksum"),
    [
        ("emoji/category:google->twitter", 2, "d2abf995b7fbcc88"),
        ("digits:mnist5k->optdigits", 2, "51382b1280a1f6b7"),
        ("multidigits", 1, "b36e04a001627273"),
        ("emoji-oneshot-hard", 1, "529147d514af5e6e"),
    ],
)
def test_a_checksum_changes_with_the_revision_only(name, revision, checksum):
    task = load_task(name)
    assert (task.revision, task.checksum) == (revision, checksum)
    assert task_revision(name) == revision
