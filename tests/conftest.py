"""What all tests share."""

import os

# one thread a process, before torch starts: several test processes with as many threads each wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")
