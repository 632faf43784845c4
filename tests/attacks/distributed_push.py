"""Run by test_devices.py as a program of its own: pushes the same samples and saves what became of them.

python -m tests.attacks.distributed_push FOLDER DEVICES [COORDINATOR PROCESSES PROCESS_ID]

DEVICES are numbers, comma-separated: as many pushes, each saved as FOLDER/NUMBER.npz.
"""

import sys

import jax
import numpy as np


def main(out, devices, coordinator=None, count=1, index=0):
    if coordinator is not None:
        jax.distributed.initialize(coordinator, int(count), int(index))
        assert jax.process_count() == int(count)
        assert len(jax.devices()) == int(count) * len(jax.local_devices())

    from overunlearn_jax.attacks import ZooSettings, push
    from overunlearn_jax.black_box import BlackBox
    from tests.reference.small_victims import one_by_one, predicted, random_images, small_spec, tanh_net

    spec = small_spec()
    victim = one_by_one(tanh_net(0, spec))
    images = random_images(1, 37, spec)
    settings = ZooSettings(spec.bounds, coordinates=3, step_size=0.1, difference=1e-2, max_steps=40, stall_steps=15)
    for number in map(int, devices.split(",")):
        service, heard = BlackBox(spec, victim), []
        result = push(
            service,
            images,
            predicted(victim, images),
            settings,
            jax.random.key(2),
            slots=2,
            devices=jax.local_devices()[:number],
            on_finished=lambda positions, part, heard=heard: heard.extend(positions.tolist()),
        )
        np.savez(f"{out}/{number}.npz", charged=service.queries, heard=heard, **result._asdict())


if __name__ == "__main__":
    main(*sys.argv[1:])
