"""Checkpoints: back as they were, refused when damaged or of another model, and never half written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax import checkpoint
from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import Variables

ROOT = Path(__file__).parents[1]


class _Holder(NamedTuple):
    variables: Variables
    step: jax.Array


def _tree(scale=1.0):
    params = {"head_dense": {"kernel": scale * jnp.arange(6.0).reshape(2, 3)}, "layers": [jnp.ones(4), jnp.zeros(())]}
    state = {"mean": jnp.array([0.1, jnp.nan, jnp.inf], jnp.float32)}
    return {
        "held": _Holder(Variables(params, state), jnp.int32(7)),
        "pair": (jnp.ones(2, jnp.bfloat16), ()),
        "none": {},
    }


def _assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def _run(script, *arguments, timeout=60):
    """The script's output, from a process of its own: an Orbax thread that is left over stays there."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    return result.stdout


def test_a_tree_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "new" / "folder", _tree())
    loaded = checkpoint.load(tmp_path / "new" / "folder", jax.tree.map(jnp.zeros_like, _tree()))
    _assert_same(loaded, _tree())
    assert isinstance(loaded["held"].variables, Variables)


def test_shapes_without_values_are_enough_to_load(tmp_path):
    checkpoint.save(tmp_path / "tree", _tree())
    _assert_same(checkpoint.load(str(tmp_path / "tree"), jax.eval_shape(_tree)), _tree())


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save("tree", _tree())
    _assert_same(checkpoint.load(tmp_path / "tree", _tree()), _tree())


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_typed_keys_come_back_as_keys_of_their_kind(tmp_path, kind):
    key = jax.random.key(3, impl=kind)
    tree = {"weights": jnp.ones(3), "rngs": (key, jax.random.split(key, 4)), "old": jax.random.PRNGKey(2)}
    checkpoint.save(tmp_path / "tree", tree)
    for like in (tree, jax.eval_shape(lambda: tree)):
        loaded = checkpoint.load(tmp_path / "tree", like)
        assert [leaf.dtype for leaf in jax.tree.leaves(loaded)] == [leaf.dtype for leaf in jax.tree.leaves(tree)]
        _assert_same(without_keys(loaded), without_keys(tree))
    other = "rbg" if kind == "threefry2x32" else "threefry2x32"
    for another in (jax.random.key(3, impl=other), jnp.ones(2, jnp.uint32)):
        with pytest.raises(checkpoint.CheckpointError, match="another model"):
            checkpoint.load(tmp_path / "tree", tree | {"rngs": (another, tree["rngs"][1])})


def _load_error(path):
    """What the error says; empty where the tree comes back as it was."""
    try:
        _assert_same(checkpoint.load(path, _tree()), _tree())
    except checkpoint.CheckpointError as error:
        return str(error)
    return ""


def test_a_flipped_bit_is_found_in_every_file(tmp_path):
    path, rng = tmp_path / "tree", np.random.default_rng(0)
    checkpoint.save(path, _tree())
    files = [each for each in path.rglob("*") if each.is_file()]
    assert len(files) > 5
    for file in files:
        whole = file.read_bytes()
        for _ in range(20):
            damaged, position = bytearray(whole), int(rng.integers(len(whole)))
            damaged[position] ^= 1 << int(rng.integers(8))
            file.write_bytes(damaged)
            told = _load_error(path)
            assert told or file.name == "digests.json"  # where a space is no part of the JSON
            assert not told or (f"{path}: " in told and file.name in told and "delete that folder" in told)
        file.write_bytes(whole)
    _assert_same(checkpoint.load(path, _tree()), _tree())


def test_one_without_digests_is_taken_and_gets_them(tmp_path, caplog):
    checkpoint.save(tmp_path / "tree", _tree())
    (tmp_path / "tree" / "digests.json").unlink()
    for _ in range(2):
        _assert_same(checkpoint.load(tmp_path / "tree", _tree()), _tree())
    [told] = caplog.messages
    assert told.startswith(f"{tmp_path / 'tree'} is of an older version, without digests: taken as it is")
    with pytest.raises(checkpoint.CheckpointError, match="another model"):
        checkpoint.load(tmp_path / "tree", OTHERS["another shape"](_tree()))


# In a process of its own: reading a damaged file leaves threads behind that complain at a moment of their choosing.
DAMAGE = """
import os, sys
from pathlib import Path
import numpy as np
from overunlearn_jax import checkpoint
from tests.test_checkpoint import _tree

def truncate(file):
    os.truncate(file, file.stat().st_size // 2)

def overwrite(file):
    file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))

for pattern in ("_METADATA", "manifest.ocdbt", "d/*"):
    for damage in (truncate, overwrite, Path.unlink):
        path = Path(sys.argv[1], pattern.strip("/*") + "-" + damage.__name__)
        checkpoint.save(path, _tree())
        for file in path.glob(pattern):
            damage(file)
        try:
            checkpoint.load(path, _tree())
        except checkpoint.CheckpointError as error:
            print(f"cannot read the checkpoint {path}: " in str(error) and "delete that folder" in str(error))
"""


def test_damaged_files_are_reported_with_the_folder(tmp_path):
    assert _run(DAMAGE, tmp_path).split() == ["True"] * 9


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="nowhere"):
        checkpoint.load(tmp_path / "nowhere", _tree())


def _without_state(tree):
    held = tree["held"]
    return tree | {"held": held._replace(variables=Variables(held.variables.params, {}))}


OTHERS = {
    "a leaf more": lambda tree: tree | {"more": jnp.ones(1)},
    "a part less": lambda tree: {name: tree[name] for name in ("held", "none")},
    "another name": lambda tree: {"kept" if name == "held" else name: part for name, part in tree.items()},
    "no statistics": _without_state,
    "another shape": lambda tree: jax.tree.map(lambda leaf: leaf.T if leaf.ndim == 2 else leaf, tree),
    "more rows": lambda tree: jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]) if leaf.ndim else leaf, tree),
    "another dtype": lambda tree: jax.tree.map(lambda leaf: leaf.astype(jnp.int32), tree),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_structure_is_refused(tmp_path, other):
    checkpoint.save(tmp_path / "tree", _tree())
    with pytest.raises(checkpoint.CheckpointError, match=r"tree: .*another model"):
        checkpoint.load(tmp_path / "tree", OTHERS[other](_tree()))


CANNOT_WRITE = """
import sys, resource
import numpy as np
from overunlearn_jax import checkpoint

folder = sys.argv[1]
for path, limit in ((f"{folder}/file/tree", None), (f"{folder}/tree", 100_000)):
    if limit:  # as on a full disk: no file of this process may grow beyond it
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        checkpoint.save(path, {"kernel": np.random.default_rng(0).random(100_000)})
    except OSError as error:
        print(error)
"""


def test_a_disk_that_refuses_is_reported_with_the_path(tmp_path):
    (tmp_path / "file").write_text("kept")
    below_a_file, full = _run(CANNOT_WRITE, tmp_path).splitlines()
    assert below_a_file.startswith(f"cannot write the checkpoint {tmp_path}/file/tree: ")
    assert full.startswith(f"cannot write the checkpoint {tmp_path}/tree: ")
    assert (tmp_path / "file").read_text() == "kept"
    assert not (tmp_path / "tree").exists()


SAVE_MUCH = """
import sys
import numpy as np
from overunlearn_jax import checkpoint

tree = {str(index): np.random.default_rng(index).random(500_000) for index in range(16)}
print("ready", flush=True)
checkpoint.save(sys.argv[1], tree)
"""


def test_a_killed_save_leaves_nothing_under_the_name(tmp_path):
    path = tmp_path / "tree"
    process = subprocess.Popen([sys.executable, "-c", SAVE_MUCH, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        while not any(tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert any(tmp_path.iterdir())  # it had begun
    assert not path.exists()
    checkpoint.save(path, _tree())  # what is left over is in nobody's way
    _assert_same(checkpoint.load(path, _tree()), _tree())
