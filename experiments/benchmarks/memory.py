"""Peak memory of a push, in a process of its own: what a search takes must not grow with the number of samples.

python -m experiments.benchmarks.memory SAMPLES
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.subjects import subject
from overunlearn_jax.attacks import ZooSettings, push
from overunlearn_jax.black_box import BlackBox

MOST = 2000
IMAGE_SHAPE = (32, 32, 3)


def measure(few: int = 64, many: int = MOST) -> dict[str, Any]:
    """Peak resident memory in MiB with few and with many samples; both processes hold the same images.

    The two images that a push returns for each sample are the caller's: they are counted out of the search's peaks.
    """
    peaks = {samples: _peak(samples) for samples in (few, many)}
    returned = {samples: 2 * samples * np.prod(IMAGE_SHAPE) * 4 / 2**20 for samples in peaks}
    return {
        "few_samples": few,
        "many_samples": many,
        "few_peak_mib": peaks[few],
        "many_peak_mib": peaks[many],
        "few_returned_mib": float(returned[few]),
        "many_returned_mib": float(returned[many]),
        "many_over_few": peaks[many] / peaks[few],
        "search_many_over_few": float((peaks[many] - returned[many]) / (peaks[few] - returned[few])),
    }


def _peak(samples: int) -> float:
    command = [sys.executable, "-m", "experiments.benchmarks.memory", str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def main(samples: int) -> None:
    """Pushes `samples` images for two steps and prints the peak in MiB."""
    victim = subject("vgg:32", "", "", brief=True)
    images = np.resize(victim.images, (MOST, *IMAGE_SHAPE))[:samples]
    labels = np.resize(victim.labels, MOST)[:samples]
    service = BlackBox(victim.spec, victim.predict)
    push(service, images, labels, ZooSettings(victim.spec.bounds, max_steps=2), jax.random.key(0))
    # Not getrusage: its peak counts what the parent process held when it started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]))
