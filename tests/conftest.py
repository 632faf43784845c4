"""What all tests share: programs are compiled quickly, and once, in whichever process."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

# XLA's threads: each worker has its share of the cores.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("NPROC", str(max(1, (os.cpu_count() or 1) // _WORKERS)))
# Most of what tests do is compiling programs that run for moments: LLVM optimises as little as it may. At level 0 newer
# jaxlibs round by the size of a batch, and tests compare such bits. Processes that tests start inherit it, so that bits
# come from programs compiled alike. `XLA_FLAGS=--xla_backend_optimization_level=3 make test` compiles as for users.
LEVEL = 0 if jax.__version_info__ < (0, 11) else 1
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level={LEVEL} {os.environ.get('XLA_FLAGS', '')}".strip()

# Files whose tests take longest begin first, so that no worker is left alone with one of them at the end.
_LONG = ("test_kill", "test_notebooks", "test_processes", "test_pipeline", "test_paper", "test_audit", "test_loading")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


def share_compiled(folder: Path) -> dict[str, str]:
    """The environment of processes that find there what JAX has compiled before."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "compiled_programs"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in share_compiled(folder).items():  # for the processes that tests start
            patch.setenv(name, value)
        yield
