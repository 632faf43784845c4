from ._version import __version__
from .attacks import ZooSettings, blend, push
from .auditing._audit import audit
from .auditing.revealing import probe
from .black_box import BlackBox
from .data import load
from .defences.defended import defended
from .evaluation import evaluate
from .models import Model, equinox_model, nnx_model, predict_fn, pure_model, resnet, vgg
from .services.pixels import PixelFormat
from .services.with_weights import service
from .training import TrainSettings, fit
from .types import DeletionRefusedError, DivergedError, Split, Variables
from .unlearn import fine_tuning, first_order

__all__ = [
    "BlackBox",
    "DeletionRefusedError",
    "DivergedError",
    "Model",
    "PixelFormat",
    "Split",
    "TrainSettings",
    "Variables",
    "ZooSettings",
    "__version__",
    "audit",
    "blend",
    "defended",
    "equinox_model",
    "evaluate",
    "fine_tuning",
    "first_order",
    "fit",
    "load",
    "nnx_model",
    "predict_fn",
    "probe",
    "pure_model",
    "push",
    "resnet",
    "service",
    "vgg",
]
