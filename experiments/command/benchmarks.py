"""What `overunlearn bench NAME` starts: each a module of `experiments.benchmarks`."""

from experiments.command.interrupts import STOPPED
from experiments.command.subcommands import Subcommand


def _benchmark(name: str, does: str, arguments: str, what: str, stopped: str = "stopped") -> Subcommand:
    return Subcommand(
        f"bench {name}", does, f"experiments.benchmarks.{name}", examples=((arguments, what),), stopped=stopped
    )


BENCHMARKS = {
    each.name.removeprefix("bench "): each
    for each in (
        _benchmark(
            "zoo",
            "How fast the attack is, beside the victim's own forward pass and beside other attacks.",
            "--data_dir=FOLDER --out=FILE.json",
            "on prepared CIFAR-10; without --data_dir images and weights are random, and no other attack is measured",
        ),
        _benchmark(
            "fewer_queries",
            "What cheaper searches cost and do: the same samples, pushed in several ways.",
            "--flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg --workdir=runs/fewer_queries --data_dir=FOLDER",
            "each way is a run of its own in a folder of --workdir",
            STOPPED,
        ),
        _benchmark(
            "revealed",
            "What the attack does to services that round, leave out, add noise or answer labels.",
            "--flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg --workdir=runs/revealed --fidelity=corrected "
            "--taus=1e-4 --data_dir=FOLDER",
            "each cell is a line of a file, and found again",
            STOPPED,
        ),
        _benchmark(
            "request_gradients",
            "What a request's step is made of: gradients of honest images, of pushed ones and of noise.",
            "--config=runs/paper_cpu/cifar10/config.json",
            "of an earlier run",
            STOPPED,
        ),
        _benchmark(
            "sisa_saving",
            "How much time SISA saves beside training every shard anew.",
            "--data_dir=FOLDER",
            "on prepared CIFAR-10",
        ),
        _benchmark(
            "training",
            "How fast victims are trained and asked, beside the same network in PyTorch.",
            "--out=FILE.json",
            "on random images; needs PyTorch",
        ),
        _benchmark(
            "server_faults",
            "Whether a service that is killed under load loses a deletion or does one twice.",
            "--kills=100 --workdir=runs/server_faults",
            "a kill takes about eight seconds, most of them for the start",
        ),
        _benchmark(
            "server_load",
            "How fast the service answers, beside a deletion and beside the same model in this process.",
            "--requests=100000 --out=FILE.json",
            "with its memory before and after so many requests",
        ),
    )
}
