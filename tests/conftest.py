"""Shared by all tests: one thread a process, since the tests themselves run side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach a hub
