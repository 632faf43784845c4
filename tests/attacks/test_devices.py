"""The same results whatever the number of devices or processes, each in programs of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import STRICT

ROOT = Path(__file__).parents[2]
SAMPLES = 37


def _start(forced_devices, *arguments):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={forced_devices}",
    }
    command = [sys.executable, *STRICT, "-m", "tests.attacks.distributed_push", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def _finish(*programs):
    try:
        for program in programs:
            _, errors = program.communicate(timeout=240)
            assert program.returncode == 0, errors
    finally:
        for program in programs:
            program.kill()


@pytest.fixture(scope="module")
def of_eight_devices(tmp_path_factory):
    """What is the same whether one, two or all of eight devices push, in one program that has eight."""
    folder = tmp_path_factory.mktemp("of_eight")
    _finish(_start(8, folder, "1,2,8"))
    return {number: dict(np.load(folder / f"{number}.npz")) for number in (1, 2, 8)}


@pytest.fixture(scope="module")
def on_one_device(of_eight_devices):
    return of_eight_devices[1]


def _assert_equal_bits(found, expected):
    for name in set(expected) - {"heard"}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    return found["heard"]


def test_one_device_hears_of_every_sample_once(on_one_device):
    assert sorted(on_one_device["heard"]) == list(range(SAMPLES))
    assert on_one_device["charged"] == on_one_device["queries"].sum() > 0
    assert len(set(on_one_device["steps"])) > 10


@pytest.mark.parametrize("devices", [2, 8])
def test_several_devices_give_the_bits_of_one(of_eight_devices, on_one_device, devices):
    assert sorted(_assert_equal_bits(of_eight_devices[devices], on_one_device)) == list(range(SAMPLES))


def test_two_processes_share_the_samples_and_both_get_all_results(on_one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folders = [tmp_path / str(index) for index in (0, 1)]
    for folder in folders:
        folder.mkdir()
    _finish(*(_start(2, folder, 2, address, 2, index) for index, folder in enumerate(folders)))
    heard = [sorted(_assert_equal_bits(dict(np.load(folder / "2.npz")), on_one_device)) for folder in folders]
    assert heard == [list(range(0, SAMPLES, 2)), list(range(1, SAMPLES, 2))]  # the other's came over the wire
