import numpy as np

from tlzoo.data.splits import group_order, group_split, random_split, thinned

GROUPS = np.random.default_rng(5).integers(40, size=200).astype(str)


def test_parts_are_disjoint_in_groups_and_cover_all():
    parts = group_split(GROUPS, 0.6, 0.8)
    assert sorted(np.concatenate(parts)) == list(range(200))
    kinds = [set(GROUPS[part]) for part in parts]
    assert len(set.union(*kinds)) == sum(map(len, kinds))
    assert [len(kind) for kind in kinds] == [24, 8, 8]


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_items():
    first = set(GROUPS[group_split(GROUPS, 0.5)[0]])
    assert set(GROUPS[::-1][group_split(GROUPS[::-1], 0.5)[0]]) == first
    assert set(GROUPS[group_split(GROUPS, 0.5, seed=1)[0]]) != first


def test_places_of_groups_are_a_permutation():
    places = group_order(GROUPS)
    assert sorted(set(places.tolist())) == list(range(40))
    assert all(len(set(places[group == GROUPS])) == 1 for group in np.unique(GROUPS))


def test_random_split():
    train, test = random_split(10, 0.7)
    assert (len(train), len(test)) == (7, 3)
    assert sorted([*train, *test]) == list(range(10))
    np.testing.assert_array_equal(train, random_split(10, 0.7)[0])


def test_thinning_keeps_shares_and_at_least_one():
    labels = np.repeat([0, 1, 2], [10, 10, 10])
    kept = thinned(labels, np.array([1.0, 0.5, 0.0]), seed=0)
    assert np.bincount(labels[kept]).tolist() == [10, 5, 1]
    assert len(set(kept)) == len(kept)
    assert (np.diff(kept) > 0).all()
