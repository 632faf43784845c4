"""Both loops: the same search, to the bit whatever shares the batch, at the price that is charged."""

import functools

import jax
import numpy as np
import pytest

from overunlearn_jax.attacks import Status, ZooSettings, run_from_python, run_fused, start, zoo
from overunlearn_jax.black_box import BlackBox
from tests.reference.small_victims import Counting, one_by_one, predicted, random_images, small_spec, tanh_net

SPEC = small_spec()
# How XLA sums a matrix product may depend on the number of rows. That is the victim's affair: this one looks at one
# image at a time, so that whatever differs is the engine's doing.
VICTIM = one_by_one(tanh_net(0, SPEC))
SETTINGS = ZooSettings(SPEC.bounds, coordinates=3, step_size=0.1, difference=1e-2, max_steps=40, stall_steps=15)
PER_STEP = 7
COUNT = 64
IMAGES = random_images(1, COUNT, SPEC)
LABELS = predicted(VICTIM, IMAGES)
LABELS[5] = (LABELS[5] + 1) % SPEC.num_classes
IDS = np.arange(COUNT) * 3 + 1
KEY = jax.random.key(2)


def _start(chosen, settings=SETTINGS):
    return start(zoo(settings), KEY, IDS[chosen], IMAGES[chosen], LABELS[chosen], LABELS[chosen], SPEC.num_classes)


def _run(run, chosen, slots, budget=None, settings=SETTINGS, predict=VICTIM):
    service = BlackBox(SPEC, predict, budget=budget, batch_size=11)
    state = run(zoo(settings), service, _start(chosen, settings), slots)
    return jax.device_get(state._replace(key=())), service


@functools.cache
def _all_in_turn():
    return _run(run_fused, np.arange(COUNT), 1)


def _assert_equal_bits(one, other):
    for name, left, right in zip(one._fields, one, other, strict=True):
        jax.tree.map(functools.partial(np.testing.assert_array_equal, err_msg=name), left, right)


def _rows(state, rows):
    return jax.tree.map(lambda leaf: leaf[rows], state)


def test_the_searches_end_in_more_than_one_way():
    state, _ = _all_in_turn()
    assert {Status.CROSSED, Status.SKIPPED} < set(state.status)
    assert len(set(state.step)) > 10  # so that finished samples leave the batch one by one


@pytest.mark.as_compiled_for_users
def test_four_slots_give_the_bits_of_one():
    _assert_equal_bits(_run(run_fused, np.arange(COUNT), 4)[0], _all_in_turn()[0])


@pytest.mark.as_compiled_for_users
def test_order_does_not_change_one_bit():
    order = np.random.default_rng(0).permutation(COUNT)
    _assert_equal_bits(_run(run_fused, order, 4)[0], _rows(_all_in_turn()[0], order))


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize("index", [0, 5, 17, 63])
def test_a_sample_alone_gives_the_bits_that_it_gives_among_64(index):
    alone = np.array([index])
    _assert_equal_bits(_run(run_fused, alone, 1)[0], _rows(_all_in_turn()[0], alone))
    _assert_equal_bits(_run(run_fused, alone, 4)[0], _rows(_all_in_turn()[0], alone))


@pytest.mark.as_compiled_for_users
def test_from_python_a_sample_alone_gives_the_bits_that_it_gives_among_others():
    chosen = np.arange(6)
    victim = Counting(VICTIM)
    together, _ = _run(run_from_python, chosen, 4, predict=victim)
    backwards, _ = _run(run_from_python, chosen[::-1], 4, predict=victim)
    _assert_equal_bits(_rows(backwards, slice(None, None, -1)), together)
    for index in (0, 2, 5):
        _assert_equal_bits(_run(run_from_python, np.array([index]), 1, predict=victim)[0], _rows(together, [index]))


def test_another_id_or_key_searches_elsewhere():
    one, again, once_more = (_start(np.array([0])) for _ in range(3))  # a run uses its state up
    other_id = again._replace(key=_start(np.array([1])).key)
    other_key = once_more._replace(key=jax.random.split(jax.random.key(9), 1))
    inside = [run_fused(zoo(SETTINGS), BlackBox(SPEC, VICTIM), each, 1).inside for each in (one, other_id, other_key)]
    assert not np.array_equal(inside[0], inside[1])
    assert not np.array_equal(inside[0], inside[2])


def test_python_and_fused_search_alike():
    chosen = np.arange(6)
    fused, _ = _run(run_fused, chosen, 4)
    python, service = _run(run_from_python, chosen, 4, predict=Counting(VICTIM))
    for name in ("status", "step", "queries"):
        np.testing.assert_array_equal(getattr(fused, name), getattr(python, name))
    # compiled apart, the two may round apart in the last bit
    for name in ("inside", "outside", "first_probabilities", "inside_probabilities", "outside_probabilities"):
        np.testing.assert_allclose(getattr(fused, name), getattr(python, name), atol=1e-5)
    assert service.queries == fused.queries.sum()


@pytest.mark.parametrize("slots", [1, 4])
def test_what_is_charged_is_what_the_victim_received(slots):
    victim = Counting(VICTIM)
    state, service = _run(run_from_python, np.arange(6), slots, predict=victim)
    assert service.queries == victim.received == state.queries.sum()
    assert max(len(batch) for batch in victim.batches) <= 11
    np.testing.assert_array_equal(state.queries, state.step * PER_STEP)
    fused, service = _run(run_fused, np.arange(6), slots)
    assert service.queries == fused.queries.sum() == state.queries.sum()


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("run", [run_fused, run_from_python])
@pytest.mark.parametrize("budget", [0, PER_STEP - 1, PER_STEP, 100, 7 * PER_STEP * 4])
def test_a_budget_is_never_exceeded_by_one_image(run, slots, budget):
    chosen = np.array([0, 1, 2, 3, 4, 6])
    victim = VICTIM if run is run_fused else Counting(VICTIM)
    state, service = _run(run, chosen, slots, budget=budget, predict=victim)
    assert service.queries == state.queries.sum() <= budget
    if run is run_from_python:
        assert victim.received == service.queries
    assert service.left < PER_STEP * slots  # and hardly less is spent, either
    assert (state.status == Status.RUNNING).any()
    whole = _rows(_all_in_turn()[0], chosen)
    finished = state.status != Status.RUNNING
    np.testing.assert_array_equal(state.status[finished], whole.status[finished])
    np.testing.assert_array_equal(state.step[finished], whole.step[finished])
    unfinished = ~finished
    np.testing.assert_array_equal(state.outside[unfinished], IMAGES[chosen][unfinished])
    assert (state.step[unfinished] < whole.step[unfinished]).all()


def test_a_budget_that_just_suffices_finishes_every_sample():
    chosen = np.arange(6)
    needed = int(_all_in_turn()[0].queries[:6].sum())
    state, service = _run(run_fused, chosen, 1, budget=needed)
    assert service.left == 0
    assert (state.status != Status.RUNNING).all()
    state, _ = _run(run_fused, chosen, 1, budget=needed - 1)
    assert (state.status == Status.RUNNING).sum() == 1


def test_a_finished_search_costs_nothing_more():
    service = BlackBox(SPEC, VICTIM)
    done = run_fused(zoo(SETTINGS), service, _start(np.arange(6)), 4)
    spent, steps = service.queries, np.asarray(done.step)
    again = run_fused(zoo(SETTINGS), service, done, 4)
    assert service.queries == spent
    np.testing.assert_array_equal(again.step, steps)


def test_the_second_run_is_not_traced_again():
    traces = []

    def victim(weights, images):
        traces.append(images.shape)
        return jax.nn.softmax(images.reshape(len(images), -1) @ weights)

    rng = np.random.default_rng(0)
    for budget, seed in [(None, 0), (10_000, 1)]:  # other weights, another budget, other images: the same shapes
        weights = jax.numpy.asarray(rng.normal(size=(36, 3)), np.float32)
        images = random_images(seed, 3, SPEC)
        predict = jax.tree_util.Partial(victim, weights)
        labels = predicted(predict, images)
        before = len(traces)
        engine = zoo(ZooSettings(**SETTINGS._asdict()))  # equal settings, made anew
        state = start(engine, jax.random.key(seed), np.arange(3), images, labels, labels, 3)
        run_fused(engine, BlackBox(SPEC, predict, budget=budget), state, 2)
        traced = len(traces) - before
        assert traced == (4 if seed == 0 else 0)  # the shape of its answer, the price of either way, the loop


def test_the_python_loop_traces_nothing_on_its_second_run():
    service = BlackBox(SPEC, Counting(VICTIM), batch_size=11)
    run_from_python(zoo(SETTINGS), service, _start(np.arange(6)), 4)
    state = _start(np.arange(6))
    with jax.no_tracing():
        run_from_python(zoo(ZooSettings(**SETTINGS._asdict())), service, state, 4)


def test_a_python_victim_cannot_be_fused():
    with pytest.raises(ValueError, match="run_from_python"):
        run_fused(zoo(SETTINGS), BlackBox(SPEC, lambda images: images), _start(np.arange(2)), 1)
