import numpy as np
import pytest

from tlzoo.data.episodes import EpisodeSampler

LABELS = np.repeat(np.arange(12) * 3, [8] * 11 + [2])
DOMAINS = np.concatenate([np.arange(8)] * 11 + [np.arange(2)]) % 4


def sampler(**changes):
    return EpisodeSampler(LABELS, **{"way": 5, "shot": 2, "query": 3, "seed": 0, **changes})


def test_an_episode_is_what_was_asked_for():
    for step in range(50):
        episode = sampler()(step)
        assert [array.shape for array in episode] == [(10,), (10,), (15,), (15,)]
        assert np.bincount(episode.support_labels).tolist() == [2] * 5
        assert np.bincount(episode.query_labels).tolist() == [3] * 5
        chosen = np.concatenate([episode.support, episode.query])
        assert len(set(chosen.tolist())) == 25
        numbers = np.concatenate([episode.support_labels, episode.query_labels])
        classes = [set(LABELS[chosen[numbers == label]].tolist()) for label in range(5)]
        assert [len(members) for members in classes] == [1] * 5
        assert len(set.union(*classes)) == 5


def test_episodes_depend_on_seed_and_step_alone():
    first, second = sampler(), sampler()
    second(99)
    for array, again in zip(first(7), second(7), strict=True):
        np.testing.assert_array_equal(array, again)
    assert not np.array_equal(first(7).support, first(8).support)
    assert not np.array_equal(first(7).support, sampler(seed=1)(7).support)


def test_stacks_are_episodes_one_after_the_other():
    stack = sampler().stack(4, 3)
    assert stack.query.shape == (3, 15)
    for place in range(3):
        for array, alone in zip(stack, sampler()(4 + place), strict=True):
            np.testing.assert_array_equal(array[place], alone)
    with pytest.raises(ValueError, match="0 episodes"):
        sampler().stack(0, 0)


def test_classes_without_enough_examples_are_never_drawn():
    drawn = LABELS[sampler().stack(0, 200).support]
    assert set(drawn.ravel().tolist()) == set((np.arange(11) * 3).tolist())


def test_all_classes_and_examples_come_about_equally_often():
    counts = np.bincount(sampler().stack(0, 2000).support.ravel(), minlength=88)[:88]
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()


def test_cross_domain_support_and_queries_never_share_a_domain():
    domains_drawn = set()
    for step in range(100):
        episode = sampler(domains=DOMAINS, query=6)(step)
        for label in range(5):
            support = set(DOMAINS[episode.support[episode.support_labels == label]].tolist())
            query = set(DOMAINS[episode.query[episode.query_labels == label]].tolist())
            assert len(support) == 1
            assert query == set(range(4)) - support
            domains_drawn |= support
    assert domains_drawn == set(range(4))


def test_support_domains_differ_within_an_episode():
    episodes = sampler(domains=DOMAINS).stack(0, 50).support
    assert max(len(set(DOMAINS[support].tolist())) for support in episodes) > 1


def test_query_order_does_not_give_labels_away():
    labels = sampler().stack(0, 400).query_labels
    assert np.abs(labels.mean(axis=0) - 2).max() < 0.35


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": 13}, r"13-way episodes need 13 classes with 2 \+ 3 examples; 11 of 12 classes"),
        ({"shot": 7}, "0 of 12 classes have them; lower way, shot or query"),
        ({"shot": 3, "domains": DOMAINS}, "3 examples in one domain and 3 in the others; 0 of 12"),
        ({"way": 1}, "way 1, shot 2, query 3; expected at least 2, 1 and 1"),
        ({"shot": 0}, "shot 0"),
        ({"domains": DOMAINS[:3]}, "3 domains for 90 labels"),
    ],
)
def test_errors_name_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        sampler(**changes)


def test_an_empty_set_is_an_error():
    with pytest.raises(ValueError, match="0 of 0 classes"):
        EpisodeSampler(np.empty(0, dtype=np.int64), way=2, shot=1, query=1, seed=0)


def test_frozen_lists_have_a_hash_of_their_contents():
    episodes = sampler().freeze(20)
    assert len(episodes) == 20
    assert episodes.hash == sampler().freeze(20).hash
    others = {episodes.hash, sampler().freeze(19).hash, sampler(seed=1).freeze(20).hash, sampler(way=4).freeze(20).hash}
    assert len(others) == 4
    np.testing.assert_array_equal(episodes[3].query, sampler()(3).query)
    assert episodes[2:5].support.shape == (3, 10)
    with pytest.raises(ValueError, match="read-only"):
        episodes[0].support[0] = 1


SUPERCLASSES = np.repeat([0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1], [8] * 11 + [2])


def test_hard_episodes_stay_within_one_superclass_and_reach_all_that_are_large_enough():
    hard = sampler(way=4, superclasses=SUPERCLASSES)
    drawn = SUPERCLASSES[hard.stack(0, 300).support]
    assert (drawn == drawn[:, :1]).all()
    counts = np.bincount(drawn[:, 0], minlength=3)
    assert counts[0] == 0  # one class alone
    assert abs(counts[1] - counts[2]) < 75
    assert {tuple(sorted(set(LABELS[row].tolist()))) for row in hard.stack(0, 300).support} > {(3, 6, 9, 12)}


def test_hard_episodes_of_several_domains():
    hard = sampler(way=4, superclasses=SUPERCLASSES, domains=DOMAINS).stack(0, 50)
    for support, query in zip(hard.support, hard.query, strict=True):
        assert len({*SUPERCLASSES[support].tolist(), *SUPERCLASSES[query].tolist()}) == 1


def test_superclasses_that_are_too_small_are_named():
    with pytest.raises(ValueError, match=r"6-way .* within a superclass need 6 of its classes; the largest, 1, has 5"):
        sampler(way=6, superclasses=SUPERCLASSES)
    with pytest.raises(ValueError, match="3 superclasses for 90 labels"):
        sampler(superclasses=SUPERCLASSES[:3])


@pytest.mark.parametrize("domains", [None, DOMAINS])
def test_dirichlet_queries_that_take_every_example_are_refused(domains):
    # of eight examples two are the support, or lie in its domain
    with pytest.raises(ValueError, match=r"dirichlet 2.0 has no effect: a class has 6 examples for queries at most"):
        sampler(query=6, dirichlet=2.0, domains=domains)
    counts = np.bincount(sampler(query=5, dirichlet=2.0, domains=domains)(0).query_labels, minlength=5)
    assert counts.sum() == 25
    assert len(set(counts.tolist())) > 1


def test_dirichlet_queries_are_as_many_but_unbalanced():
    episodes = sampler(dirichlet=2.0).stack(0, 200)
    assert episodes.query.shape == (200, 15)
    counts = np.stack([np.bincount(row, minlength=5) for row in episodes.query_labels])
    assert (counts.sum(axis=1) == 15).all()
    assert counts.max() > 3
    assert counts.min() == 0
    np.testing.assert_array_equal(
        LABELS[episodes.query], np.take_along_axis(LABELS[episodes.support[:, ::2]], episodes.query_labels, axis=1)
    )
