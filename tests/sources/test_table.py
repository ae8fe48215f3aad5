import re
import subprocess
import sys

import pytest

from tlzoo import sources


def test_every_row_says_what_it_is_and_whose():
    for source in sources.list_sources():
        assert source.license
        assert source.owner
        assert source.citation
        assert source.note
        assert source.members


def test_downloaded_rows_are_pinned_and_installed_ones_are_not():
    for source in sources.list_sources():
        if source.kind == "installed":
            assert source.sha256 == ""
            assert source.megabytes == 0
        else:
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert re.fullmatch(r"[\w.-]+==[\d.]+", source.requirement)
            assert source.megabytes > 0


def test_names_are_unique_keys():
    names = [source.name for source in sources.list_sources()]
    assert names == list(sources.SOURCES)
    assert {"emoji", "mnist5k", "optdigits", "newsgroups", "sentiment", "topics", "watch", "glyphs"} <= set(names)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="unknown source 'emojis'; did you mean 'emoji'"):
        sources.find_source("emojis")
    with pytest.raises(ValueError, match="minilm"):
        sources.fetch("emoji-names", "minilm6")


def test_importing_sources_imports_nothing_heavy():
    heavy = "torch", "numpy", "rich", "filelock", "PIL"
    program = f"import sys, tlzoo.sources; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
