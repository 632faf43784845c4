"""PyTorch and scikit-learn in one line each, beside what their own users would write."""

import sys

import jax
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from overunlearn_jax.services.frameworks import (
    scikit_learn_predict,
    scikit_learn_service,
    torch_predict,
    torch_service,
)
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import Bounds, DatasetSpec, Request

SPEC = DatasetSpec("made up", (4, 4, 2), Bounds(-0.5, 0.5), ("a", "b", "c"))
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-0.5, 0.5, (40, 4, 4, 2)).astype(np.float32)
LABELS = np.arange(40) % 3
REQUEST = Request(IMAGES[:4], LABELS[:4].astype(np.int32))
KEY = jax.random.key(0)


def test_a_missing_pytorch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install torch, or in the clone pip install -e '\.\[torch\]'"):
        torch_predict(object())


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="pip install -e '.[torch]'")


def make_net(torch):
    torch.manual_seed(0)
    frozen = torch.nn.BatchNorm2d(2)
    frozen.register_buffer("seen", torch.zeros(1), persistent=False)
    net = torch.nn.Sequential(
        frozen,
        torch.nn.Conv2d(2, 3, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(12, 3),
    )
    net.train()
    frozen.eval()
    frozen.weight.requires_grad_(False)
    return net


def channels_first(images):
    return images.transpose(0, 3, 1, 2) + 0.5


def test_torch_predicts_in_eval_mode_and_leaves_the_flags_as_they_were(torch):
    net = make_net(torch)
    flags = [part.training for part in net.modules()]
    sent = channels_first(IMAGES)
    answered = torch_predict(net, batch_size=7)(sent)
    assert [part.training for part in net.modules()] == flags
    assert (answered.shape, answered.dtype) == ((40, 3), np.float32)
    net.eval()
    expected = torch.softmax(net(torch.tensor(sent)), -1).detach().numpy()
    np.testing.assert_allclose(answered, expected, rtol=1e-4, atol=1e-6)
    double = torch_predict(net.double())(sent)
    np.testing.assert_allclose(double, expected, rtol=1e-4, atol=1e-6)
    assert double.dtype == np.float32


def test_torch_is_given_bytes_as_bytes_and_a_copy(torch):
    class Own(torch.nn.Module):
        def forward(self, images):
            assert images.dtype == torch.uint8
            images += 1
            return images.flatten(1)[:, :3].float()

    sent = np.arange(96, dtype=np.uint8).reshape(3, 2, 4, 4)
    answered = torch_predict(Own())(sent)
    np.testing.assert_array_equal(sent.ravel(), np.arange(96))
    np.testing.assert_allclose(answered, np.tile(np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), (3, 1)), rtol=1e-6)


def test_torch_modules_that_answer_probabilities_are_found_out(torch):
    net = torch.nn.Sequential(make_net(torch), torch.nn.Softmax(-1))
    sent = channels_first(IMAGES)
    with pytest.raises(ValueError, match=r"answers probabilities, not logits.*say outputs='probabilities'"):
        torch_predict(net)(sent)
    answered = torch_predict(net, outputs="probabilities")(sent)
    np.testing.assert_allclose(answered, torch_predict(net[0])(sent), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"outputs": "scores"}, "outputs is 'scores'; expected one of logits, prob"),
    ],
)
def test_wrong_arguments_of_torch(torch, arguments, message):
    with pytest.raises(ValueError, match=message):
        torch_predict(make_net(torch), **arguments)


def test_a_torch_service_is_brought_back_whole(torch):
    net, given = make_net(torch), []

    def forget(module, images, labels):
        given.append((images.clone(), labels.clone()))
        module.train()
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        with torch.no_grad():
            module[0].seen += 1
            for parameter in module.parameters():
                parameter += parameter.grad

    service = torch_service(net, forget, SPEC)
    state = {name: each.clone() for name, each in net.state_dict().items()}
    deployed = service.predict(IMAGES)
    with service.after([REQUEST], KEY) as left:
        assert not np.allclose(left.predict(IMAGES), deployed, atol=1e-3)
        assert not torch.equal(net.state_dict()["0.running_mean"], state["0.running_mean"])
    for name, each in net.state_dict().items():
        assert torch.equal(each, state[name]), name
    assert net[0].seen.item() == 0
    assert (net.training, net[0].training, net[0].weight.requires_grad, net[1].weight.requires_grad) == (
        True,
        False,
        False,
        True,
    )
    assert all(parameter.grad is None for parameter in net.parameters())
    np.testing.assert_array_equal(service.predict(IMAGES), deployed)
    ((images, labels),) = given
    np.testing.assert_allclose(images, channels_first(REQUEST.images), atol=1e-6)
    assert (labels.dtype, labels.tolist()) == (torch.int64, REQUEST.labels.tolist())


def test_a_torch_forget_that_returns_a_new_module_is_told_so(torch):
    service = torch_service(make_net(torch), lambda module, images, labels: module, SPEC)
    with (
        pytest.raises(ValueError, match=r"Sequential.forget returned an object of type Sequential; expected None"),
        service.after([REQUEST], KEY),
    ):
        pass


def fitted(**settings):
    flat = IMAGES.reshape(40, -1)
    return MLPClassifier((8,), max_iter=3, random_state=0, **settings), flat


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_scikit_learn_flattens_and_puts_classes_in_their_columns():
    classifier, flat = fitted()
    classifier.fit(flat, np.where(LABELS == 1, 4, LABELS))  # it has seen 0, 2 and 4 of five classes
    answered = scikit_learn_predict(classifier, 5)(IMAGES)
    assert answered.shape == (40, 5)
    np.testing.assert_array_equal(answered[:, [0, 2, 4]], classifier.predict_proba(flat))
    np.testing.assert_array_equal(answered[:, [1, 3]], 0)
    piped = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)).fit(flat, LABELS)
    np.testing.assert_array_equal(scikit_learn_predict(piped, 3)(IMAGES), piped.predict_proba(flat))
    calibrated = CalibratedClassifierCV(SGDClassifier(loss="hinge", random_state=0), cv=2).fit(flat, LABELS)
    assert scikit_learn_predict(calibrated, 3)(IMAGES).shape == (40, 3)


@pytest.mark.parametrize(
    ("estimator", "labels", "message"),
    [
        (SGDClassifier(loss="hinge"), LABELS, "SGDClassifier has no predict_proba.*CalibratedClassifierCV"),
        (SGDClassifier(loss="log_loss"), None, "SGDClassifier has no classes_: fit it before"),
        (
            SGDClassifier(loss="log_loss"),
            np.array(list("abc"))[LABELS],
            "was trained on the labels a, b, c; expected cl",
        ),
        (SGDClassifier(loss="log_loss"), LABELS + 1, r"the labels 1, 2, 3; expected class numbers in 0 \.\.\. 2"),
    ],
)
def test_estimators_that_cannot_be_served(estimator, labels, message):
    if labels is not None:
        estimator.fit(IMAGES.reshape(40, -1), labels)
    with pytest.raises(ValueError, match=message):
        scikit_learn_service(estimator, lambda *arguments: None, SPEC)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_scikit_learn_service_is_brought_back_whole_and_leaves_the_estimator_alone():
    classifier, flat = fitted(learning_rate_init=0.1)
    classifier.fit(flat, LABELS)
    own, given = classifier.predict_proba(flat), []

    def forget(estimator, images, labels):
        given.append((images.copy(), labels.copy()))
        return estimator.partial_fit(images, (labels + 1) % 3)  # itself, as partial_fit does

    service = scikit_learn_service(classifier, forget, SPEC)
    deployed = service.predict(IMAGES)
    np.testing.assert_allclose(deployed, own, rtol=1e-6)
    answers = []
    for _ in range(2):
        with service.after([REQUEST], KEY) as left:
            answers.append(left.predict(IMAGES))
        np.testing.assert_array_equal(service.predict(IMAGES), deployed)
    assert not np.allclose(answers[0], deployed, atol=1e-3)
    np.testing.assert_array_equal(*answers)  # the optimiser was brought back, too
    np.testing.assert_array_equal(classifier.predict_proba(flat), own)
    np.testing.assert_array_equal(given[0][0], REQUEST.images.reshape(4, -1))
    assert given[0][1].dtype == np.int64
    unit = scikit_learn_service(classifier, forget, SPEC, PixelFormat("NHWC", "unit"))
    np.testing.assert_allclose(unit.predict(IMAGES), classifier.predict_proba(flat + np.float32(0.5)), rtol=1e-4)


def test_a_scikit_learn_forget_that_returns_another_estimator_is_told_so():
    estimator = SGDClassifier(loss="log_loss", random_state=0).fit(IMAGES.reshape(40, -1), LABELS)
    service = scikit_learn_service(estimator, lambda *arguments: SGDClassifier(), SPEC)
    with (
        pytest.raises(ValueError, match="returned an object of type SGDClassifier; expected None"),
        service.after([REQUEST], KEY),
    ):
        pass
