"""One run on several processes, on one machine or many: who writes, and when they meet.

Every process runs the same command. They push their shares of the samples side by side; the first one trains,
unlearns, evaluates and writes. --cache_dir and --workdir have to lie on a disk that all of them see.
"""

import os

from absl import flags  # JAX is imported where it is used: --help and wrong flags answer at once

MOST_SECONDS = 14 * 24 * 3600  # to wait for another process
SECONDS_TO_LEAVE = 30  # all leave together; where one has failed, the others are told so after this time


def define_flags() -> None:
    """The flags that say who takes part; they are no part of the config, since they change nothing in the results."""
    flags.DEFINE_bool(
        "distributed",
        False,
        "this is one of several processes that share the pushing; SLURM, Open MPI, Kubernetes and TPU pods are "
        "recognised, elsewhere give --coordinator, --processes and --process_id, too",
    )
    flags.DEFINE_string("coordinator", None, "host:port of the first process, the same for all")
    flags.DEFINE_integer("processes", None, "how many processes take part", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "which of them this is, from 0", lower_bound=0)


def join(values: flags.FlagValues) -> None:
    """Joins the other processes where the flags ask for it; to be called before JAX does anything else."""
    given = (values.coordinator, values.processes, values.process_id)
    if not values.distributed:
        if any(each is not None for each in given):
            raise ValueError("--coordinator, --processes and --process_id belong to --distributed: add it")
        return
    if None in given and any(each is not None for each in given):
        raise ValueError("--coordinator, --processes and --process_id go together: give all three or none")
    import jax

    # On CPUs a process that waits for another gives up after 30 minutes, unless told otherwise.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_collective_timeout_seconds={MOST_SECONDS}"
    try:
        jax.distributed.initialize(*given, shutdown_timeout_seconds=SECONDS_TO_LEAVE)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the processes did not find each other ({error}): give --coordinator=HOST:PORT, --processes and "
            "--process_id"
        ) from error


def is_first() -> bool:
    """Whether this process trains, evaluates and writes."""
    import jax

    return jax.process_index() == 0


def is_alone() -> bool:
    """Whether no other process takes part."""
    import jax

    return jax.process_count() == 1


def barrier(where: str) -> None:
    """Waits until all processes are here; nothing to wait for where there is one.

    Raises ValueError where another process is somewhere else: it has other settings, or sees other files.
    """
    if is_alone():
        return
    from jax.experimental import multihost_utils

    try:
        multihost_utils.sync_global_devices(where)
    except AssertionError as error:
        raise ValueError(
            f"the processes disagree ({where}): give all of them the same flags, and a --cache_dir and --workdir on a "
            "disk that all of them see"
        ) from error
