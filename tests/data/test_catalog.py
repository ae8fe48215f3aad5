import subprocess
import sys

import pytest

from tlzoo.data import list_tasks, load_task
from tlzoo.data.built_in_tasks import VENDORS as NAMED
from tlzoo.data.datasets.emoji import VENDORS


def test_all_vendor_pairs_and_variants_are_listed():
    names = list_tasks()
    assert len(names) == len(set(names))
    assert sum(name.startswith("emoji/") for name in names) == 2 * 5 * 7 * 6
    assert "emoji/category:google->windows" in names
    assert "emoji/subcategory:apple->samsung:unpaired" in names
    assert "emoji/category:twitter->apple:shifted" in names
    assert not any("google->google" in name for name in names)
    assert tuple(VENDORS) == NAMED


def test_listing_by_kind():
    assert list_tasks("multitask")[:4] == ["multidigits", "emoji-tasks", "people", "topics"]
    assert {"emoji-unseen", "emoji-unseen:generalized", "newsgroups", "reuters-r8", "reuters-r52"} <= set(
        list_tasks("zeroshot")
    )
    assert sum(len(list_tasks(kind)) for kind in ("domain", "episode", "multitask", "zeroshot")) == len(list_tasks())
    with pytest.raises(ValueError, match="did you mean 'domain'"):
        list_tasks("domains")


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'emoji/category:google->windows'"):
        load_task("emoji/category:gogle->windows")
    with pytest.raises(ValueError, match="did you mean 'digits:mnist5k->optdigits'"):
        load_task("digits:mnist->optdigits")


def test_listing_tasks_imports_nothing_heavy():
    heavy = "torch", "numpy", "PIL"
    program = f"import sys, tlzoo.data; tlzoo.data.list_tasks(); print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_lazy_names_resolve_and_others_raise():
    import tlzoo.data

    for name in tlzoo.data.__all__:
        assert getattr(tlzoo.data, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = tlzoo.data.nothing
