"""What all tests share: programs are compiled quickly, and once, in whichever process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before NumPy is imported. Threads of a BLAS that is called thousands of times for little wait for each other in busy
# loops, which took ten times as long as the work itself.
os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})

import jax
import pytest

# Most of what tests do is compiling programs that run for moments: XLA optimises as little as it may, five times as
# fast. Processes that tests start inherit it, so that bits come from programs compiled alike. Programs of users round
# otherwise: tests marked `as_compiled_for_users` run once more without, in test_as_compiled_for_users.py, and
# `AS_COMPILED_FOR_USERS=1 make test` runs all of them without. Newer XLAs lack two of these flags, and with less
# optimisation they round by the size of a batch, which tests compare: there all tests are compiled as for users.
QUICK_TO_COMPILE = ""
if jax.__version_info__ < (0, 11):
    QUICK_TO_COMPILE = (
        "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
        "--xla_cpu_parallel_codegen_split_count=1"
    )
GIVEN = os.environ.get("XLA_FLAGS", "").replace(QUICK_TO_COMPILE, "").strip()  # workers have those of their parent
QUICK = "AS_COMPILED_FOR_USERS" not in os.environ
os.environ["XLA_FLAGS"] = f"{QUICK_TO_COMPILE} {GIVEN}".strip() if QUICK else GIVEN


# Python's, of processes whose warnings are errors: another process may be writing a compiled program.
STRICT = ["-W", "error", "-W", "ignore:Error reading persistent compilation cache entry"]


def compiled_for_users() -> dict[str, str]:
    """The environment of processes whose programs are compiled as users' are."""
    return os.environ | {"XLA_FLAGS": GIVEN, "AS_COMPILED_FOR_USERS": "1"}


def compiled_for_long_runs() -> dict[str, str]:
    """The environment of processes that run for longer than they compile: at level 1 programs are as fast as users'."""
    return os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("optimization_level=0", "optimization_level=1")}


# Files whose tests take longest begin first, so that no worker is left alone with one of them at the end.
_LONG = (
    *("test_notebooks", "test_pipeline", "test_answers", "test_readme", "test_kill", "test_as_compiled_for_users"),
    *("test_processes", "test_pushing", "test_audit", "test_benchmarks", "test_devices", "test_services"),
)


def pytest_configure(config: pytest.Config) -> None:
    """XLA's threads: each worker has its share of the cores. Ctrl-C reaches what tests start."""
    os.environ.setdefault("NPROC", str(max(1, (os.cpu_count() or 1) // (config.getoption("numprocesses", None) or 1))))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background: all would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
