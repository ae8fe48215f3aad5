"""The cache folder, locks, atomic files and folders, and verified arrays. Every cache and store is built on it.

A file or folder is renamed to its final name only after it is complete and synced, so a reader sees either the old or
the complete new version, even if a process is killed. Locks only prevent duplicate work; without them, everything
remains correct.
"""

from tlzoo.storage.files import file_sha256, forget_hashes, has_hash, home, keep_file, replace_file, sweep
from tlzoo.storage.locks import claim, lock, made_once

__all__ = [
    "claim",
    "file_sha256",
    "forget_hashes",
    "has_hash",
    "home",
    "keep_file",
    "lock",
    "made_once",
    "replace_file",
    "sweep",
]
