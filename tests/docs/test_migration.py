"""Our side of the migration tables runs."""

import re
from pathlib import Path

import pytest
from pytorch_lightning.utilities.seed import isolate_rng

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
ROW = re.compile(r"^\| `.*` \| `(?P<ours>[^|]*)` \|$", re.MULTILINE)
LIBRARIES = ("TLlib", "pytorch-adapt", "skada", "easyfsl", "learn2learn", "LibMTL", "TorchJD", "SetFit")


@pytest.fixture(scope="module")
def sections():
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_row_runs(sections):
    assert tuple(sections) == LIBRARIES
    namespace = {"__name__": "migration"}
    with isolate_rng():
        for name, text in sections.items():
            for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
                exec(compile(block, name, "exec"), namespace)
            rows = ROW.findall(text)
            assert len(rows) >= 3
            assert len(rows) == text.count("\n| `"), f"{name}: a row has no code of ours"
            for code in rows:
                eval(compile(code, f"{name}: {code}", "eval"), namespace)
