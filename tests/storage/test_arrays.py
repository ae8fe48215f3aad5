import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tlzoo.storage.arrays import ArrayStore, new_array


def test_a_new_array_has_its_place_on_the_disk(tmp_path):
    array = new_array(tmp_path / "a.npy", (1000, 300), np.float32)
    info = (tmp_path / "a.npy").stat()
    assert info.st_blocks * 512 >= info.st_size >= array.nbytes
    array[:] = 7
    array.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.full((1000, 300), 7.0, dtype=np.float32))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, None])
def test_where_the_system_cannot_reserve_zeros_are_written(tmp_path, monkeypatch, number):
    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(number, "no")))
    array = new_array(tmp_path / "a.npy", (1000, 300), np.float32)
    info = (tmp_path / "a.npy").stat()
    assert info.st_blocks * 512 >= info.st_size >= array.nbytes
    assert not array.any()
    assert np.load(tmp_path / "a.npy").shape == (1000, 300)


def test_a_full_disk_is_an_error_before_the_work_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        ArrayStore(tmp_path).make("key", (4, 2), np.dtype("f4"), lambda _: pytest.fail("no room"), {})
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_an_array_comes_back(tmp_path):
    store = ArrayStore(tmp_path)
    made = store.make("key", (4, 2), np.dtype("f4"), lambda out: out.fill(3), {"of": "threes"})
    np.testing.assert_array_equal(made, np.full((4, 2), 3.0))
    again = ArrayStore(tmp_path).make("key", (4, 2), np.dtype("f4"), lambda _: pytest.fail("it is there"), {})
    np.testing.assert_array_equal(again, made)
    assert ArrayStore(tmp_path).get("other") is None


FILL = """
import sys, pathlib, numpy as np
from tlzoo.storage.arrays import ArrayStore
try:
    ArrayStore(pathlib.Path(sys.argv[1])).make("key", (1000, 1000), np.dtype("f8"), lambda out: out.fill(1), {})
except OSError as error:
    print(error)
"""


def test_a_disk_that_is_really_full_does_not_kill_the_process(tmp_path):
    mount = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && "$@"']
    command = [*mount, str(tmp_path)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs a mount of its own")
    done = subprocess.run(
        [*command, sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[Errno 28] No space left on device\n")
