"""File permissions that bind in tests, also for root."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION_3 = 0x20080522
_OVERRIDE, _READ_SEARCH = 1 << 1, 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def binding_permissions() -> Iterator[None]:
    """Give up what lets root read any file, in this thread and those that it starts."""
    if sys.platform != "linux":
        pytest.skip("capabilities are Linux's")
    library, header, data = ctypes.CDLL(None), _Header(_VERSION_3, 0), (_Data * 2)()
    assert library.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective = before & ~(_OVERRIDE | _READ_SEARCH)
    assert library.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = before
        assert library.capset(ctypes.byref(header), data) == 0
