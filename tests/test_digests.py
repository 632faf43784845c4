"""Digests: what was sealed comes back, and whatever changed since is told with the file and the remedy."""

import json

import numpy as np
import pytest

from overunlearn_jax.digests import (
    DIGEST,
    DamagedError,
    check_digests,
    read_sealed,
    sealed,
    sealed_text,
    unsealed,
    write_digests,
)
from overunlearn_jax.files import read_npz, write_npz

VALUE = {"seed": 3, "rate": 1e-300, "name": "ünï\n", "list": [1, None, {"deep": True}]}


def flipped(content, rng):
    damaged = bytearray(content)
    damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def value_or_error(read, *arguments):
    try:
        return read(*arguments)
    except ValueError as error:
        return str(error)


def test_sealed_json_comes_back():
    assert unsealed(sealed(VALUE)) == VALUE
    assert sealed(sealed(VALUE)) == sealed(VALUE)
    assert list(sealed(VALUE)) == [*VALUE, DIGEST]
    assert unsealed(VALUE) == VALUE  # of an older version
    with pytest.raises(DamagedError, match="no digest"):
        unsealed(VALUE, required=True)


def test_flipped_bits_in_a_sealed_file(tmp_path):
    path, rng = tmp_path / "noted.json", np.random.default_rng(0)
    content = sealed_text(VALUE).encode()
    found = 0
    for _ in range(200):
        path.write_bytes(flipped(content, rng))
        read = value_or_error(read_sealed, path, "delete it")
        if isinstance(read, str):
            found += 1
            assert read.startswith(f"{path} is damaged, or another file (")
            assert read.endswith("): delete it")
        else:
            assert read == VALUE  # a space is no part of it
    assert found > 120


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b'{"a": 1, "digest": 3}'])
def test_what_is_no_sealed_file(tmp_path, content):
    (tmp_path / "noted.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"noted\.json is damaged, or another file"):
        read_sealed(tmp_path / "noted.json", "delete it")


def test_a_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    assert not check_digests(tmp_path)
    write_digests(tmp_path)
    assert check_digests(tmp_path)
    (tmp_path / ".nfs0001").write_bytes(b"a disk's own")
    assert check_digests(tmp_path)
    (tmp_path / "inner" / "one").write_bytes(b"3")
    with pytest.raises(DamagedError, match="inner/one is not as it was written"):
        check_digests(tmp_path)
    (tmp_path / "inner" / "one").unlink()
    with pytest.raises(DamagedError, match="inner/one is missing"):
        check_digests(tmp_path)
    noted = json.loads((tmp_path / "digests.json").read_text())
    del noted[DIGEST]
    (tmp_path / "digests.json").write_text(json.dumps(noted))
    with pytest.raises(DamagedError, match=r"digests\.json is damaged"):
        check_digests(tmp_path)


def test_arrays_come_back_and_every_flipped_bit_that_would_change_them_is_found(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {"ids": np.arange(5), "seconds": np.float64(0.5), "images": rng.random((2, 3), np.float32)}
    path = write_npz(tmp_path / "kept.npz", **arrays)
    content = path.read_bytes()
    found = 0
    for number in range(500):
        path.write_bytes(content if number == 0 else flipped(content, rng))
        read = value_or_error(read_npz, path, arrays, "delete it")
        if isinstance(read, str):
            found += 1
            assert read.startswith(f"{path} is damaged (")
            assert read.endswith("): delete it")
            continue
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)
    assert found > 200


def test_other_arrays_are_told(tmp_path):
    path = write_npz(tmp_path / "kept.npz", one=1)
    with pytest.raises(ValueError, match=r"kept\.npz is damaged \(it holds one; expected one, two\): delete it"):
        read_npz(path, ["one", "two"], "delete it")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "nowhere.npz", ["one"], "delete it")
