"""Freed memory that stays with the process: counted in page faults of a process of its own."""

import ctypes
import subprocess
import sys

import pytest

from overunlearn_jax.allocator import keep_freed_memory

MIB = 200  # above the 32 MiB from which glibc always maps anew
PAGES = """
import ctypes, resource
from overunlearn_jax.allocator import keep_freed_memory

told = keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    place = libc.malloc({size})
    ctypes.memset(place, 1, {size})
    libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(told, faults(), faults())
"""


def counted(**environment: str) -> tuple[bool, int, int]:
    """Whether the C library was told, and the page faults of the first and of the second large allocation."""
    code = PAGES.format(size=MIB * 2**20)
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    told, first, second = found.stdout.split()
    return told == "True", int(first), int(second)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these options")
def test_memory_is_given_back_to_the_system_unless_told():
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("this C library has no mallopt")
    told, first, second = counted()
    assert told
    assert first > 50  # even where the system has pages of 2 MiB
    assert second < first / 20
    told, first, second = counted(MALLOC_ARENA_MAX="8")  # who sets one of the options, sets all
    assert not told
    assert second > first / 2


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
