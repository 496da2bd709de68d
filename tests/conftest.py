"""Shared by all tests: one thread a process, since the tests themselves run side by side."""

import os
import signal

import hypothesis

os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and by all children
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach a hub
# how long an example takes depends on what else the machine does
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
