"""Where files lie and how they get there: the home folder, locks, atomic files and folders, verified arrays.

Nothing here knows what is stored. A file or folder gets its name by a rename once it is complete and synced, so a
reader finds the old one or the whole new one, whatever is killed meanwhile. Locks only spare work that would be done
twice: without them everything stays correct.
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
