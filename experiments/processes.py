"""One run on several processes, on one machine or many: who writes, and when they meet.

Every process runs the same command. They push their shares of the samples side by side; the first one trains,
unlearns, evaluates and writes. --cache_dir has to lie on a disk that all of them see.
"""

import jax
from absl import flags
from jax.experimental import multihost_utils

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
    try:
        jax.distributed.initialize(*given, shutdown_timeout_seconds=SECONDS_TO_LEAVE)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the processes did not find each other ({error}): give --coordinator=HOST:PORT, --processes and "
            "--process_id"
        ) from error


def is_first() -> bool:
    """Whether this process trains, evaluates and writes."""
    return jax.process_index() == 0


def meet(where: str) -> None:
    """Waits until all processes are here; nothing to wait for where there is one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)
