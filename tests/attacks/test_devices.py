"""The same results whatever the number of devices or processes, each in programs of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = 37


def _start(forced_devices, *arguments):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={forced_devices}",
    }
    command = [sys.executable, "-W", "error", "-m", "tests.attacks.distributed_push", *map(str, arguments)]
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
def on_one_device(tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "out.npz"
    _finish(_start(1, out, 1))
    return dict(np.load(out))


def _assert_equal_bits(out, expected):
    found = dict(np.load(out))
    for name in set(expected) - {"heard"}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    return found["heard"]


def test_one_device_hears_of_every_sample_once(on_one_device):
    assert sorted(on_one_device["heard"]) == list(range(SAMPLES))
    assert on_one_device["charged"] == on_one_device["queries"].sum() > 0
    assert len(set(on_one_device["steps"])) > 10


@pytest.mark.parametrize("devices", [2, 8])
def test_several_devices_give_the_bits_of_one(on_one_device, devices, tmp_path):
    _finish(_start(8, tmp_path / "out.npz", devices))
    assert sorted(_assert_equal_bits(tmp_path / "out.npz", on_one_device)) == list(range(SAMPLES))


def test_two_processes_share_the_samples_and_both_get_all_results(on_one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outs = [tmp_path / f"{index}.npz" for index in (0, 1)]
    _finish(*(_start(2, out, 2, address, 2, index) for index, out in enumerate(outs)))
    heard = [sorted(_assert_equal_bits(out, on_one_device)) for out in outs]
    assert heard == [list(range(0, SAMPLES, 2)), list(range(1, SAMPLES, 2))]  # the other's came over the wire
