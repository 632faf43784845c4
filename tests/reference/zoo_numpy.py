"""ZOO coordinate descent as the papers write it down: loops over samples and coordinates, float64, no JAX.

The coordinates are given (drawing them is the engine's business), and so is the victim: any callable that takes one
image and returns its class probabilities. It is asked for the iterate first, then for the probes of each coordinate.
"""

import dataclasses
import math

import numpy as np

RUNNING, CROSSED, SKIPPED, STALLED, OUT_OF_STEPS, TOO_FAR = range(6)


@dataclasses.dataclass
class Sample:
    """One search. Moments and counts are kept for each block of the grid, [row, column, channel]."""

    original: np.ndarray
    label: int
    target: int
    variable: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    count: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    reference_loss: float = math.inf
    step: int = 0
    queries: int = 0
    status: int = RUNNING


def first_sample(image, label, target, settings):
    """The search before its first step."""
    original = np.asarray(image, np.float64)
    rows, columns, channels = original.shape
    grid = (rows // settings.block, columns // settings.block, channels)
    return Sample(
        original=original,
        label=int(label),
        target=int(target),
        variable=to_variable(original, settings),
        mean=np.zeros(grid),
        square=np.zeros(grid),
        count=np.zeros(grid, int),
        inside=original,
        outside=original,
    )


def step_one(sample, corners, predict, settings):
    """Evaluates the iterate, judges it, and moves each coordinate by its own finite differences."""
    h, block = settings.difference, settings.block
    image = to_image(sample.variable, settings)
    probabilities = predict(image)
    loss_here = loss(image, probabilities, sample, settings)

    moved = sample.variable.copy()
    for row, column, channel in corners:
        where = (slice(row, row + block), slice(column, column + block), channel)
        above = image[where].mean() > sum(settings.bounds) / 2
        losses = []
        for sign in ((-1 if above else 1),) if settings.one_sided else (1, -1):
            variable = sample.variable.copy()
            variable[where] += sign * h
            probe = to_image(variable, settings)
            losses.append(loss(probe, predict(probe), sample, settings))
        if settings.one_sided:
            first, second = (losses[0] - loss_here) / (-h if above else h), 0.0
        else:
            first = (losses[0] - losses[1]) / (2 * h)
            second = (losses[0] - 2 * loss_here + losses[1]) / h**2
        moved[where] += move(sample, (row // block, column // block, channel), first, second, settings)
    if settings.solver == "sega":  # along all that is remembered, when all coordinates of the step are known
        length = math.sqrt((sample.mean**2).sum())
        moved -= settings.step_size * np.kron(sample.mean, np.ones((block, block, 1))) / length

    judge(sample, image, probabilities, loss_here, settings)
    sample.variable = np.clip(moved, *settings.bounds) if settings.space == "box" else moved
    sample.step += 1
    sample.queries += 1 + (1 if settings.one_sided else 2) * len(corners)


def move(sample, cell, first, second, settings):
    """How far one coordinate goes: algorithms 2 and 3 of Chen et al. SEGA moves all of them together, later."""
    sample.count[cell] += 1
    if settings.solver == "sega":
        sample.mean[cell] = first
        return 0.0
    if settings.solver == "newton":
        return -settings.step_size * first / (max(second, 0.1) if second > 0 else 1.0)
    times = sample.count[cell]
    sample.mean[cell] = 0.9 * sample.mean[cell] + 0.1 * first
    sample.square[cell] = 0.999 * sample.square[cell] + 0.001 * first**2
    correction = math.sqrt(1 - 0.999**times) / (1 - 0.9**times)
    return -settings.step_size * correction * sample.mean[cell] / (math.sqrt(sample.square[cell]) + 1e-8)


def judge(sample, image, probabilities, loss_here, settings):
    """Files the iterate under inside or outside and ends the search where there is a reason to."""
    predicted = int(np.argmax(probabilities))
    at_goal = predicted == sample.target if settings.targeted else predicted != sample.label
    if predicted == sample.label:
        sample.inside = image
    if at_goal:
        sample.outside = image

    looking = sample.step % settings.stall_steps == 0
    if sample.step == 0 and predicted != sample.label:
        sample.status = SKIPPED
    elif at_goal:
        far = math.sqrt(((image - sample.original) ** 2).sum()) > settings.max_l2
        sample.status = TOO_FAR if far else CROSSED
    elif sample.step > 0 and looking and loss_here > settings.stall_ratio * sample.reference_loss:
        sample.status = STALLED
    elif sample.step + 1 >= settings.max_steps:
        sample.status = OUT_OF_STEPS
    if looking:
        sample.reference_loss = loss_here


def loss(image, probabilities, sample, settings):
    """Squared L2 distance plus the weighted margin."""
    return ((image - sample.original) ** 2).sum() + settings.margin_weight * margin(probabilities, sample, settings)


def margin(probabilities, sample, settings):
    """Carlini and Wagner's g, on log probabilities."""
    logs = [math.log(max(float(probability), 1e-30)) for probability in probabilities]
    if settings.targeted:
        others = [value for index, value in enumerate(logs) if index != sample.target]
        return max(max(others) - logs[sample.target], -settings.kappa)
    others = [value for index, value in enumerate(logs) if index != sample.label]
    return max(logs[sample.label] - max(others), -settings.kappa)


def to_image(variable, settings):
    """From the search space to pixels."""
    lower, upper = settings.bounds
    if settings.space == "box":
        return np.clip(variable, lower, upper)
    return (lower + upper) / 2 + (upper - lower) / 2 * np.tanh(variable)


def to_variable(image, settings):
    """From pixels to the search space."""
    lower, upper = settings.bounds
    if settings.space == "box":
        return image.copy()
    return np.arctanh((image - (lower + upper) / 2) / ((upper - lower) / 2) * 0.9999995)
