"""One row of results: what is known of one request to one service, forgotten in one way. Units stand beside each field.

`Annotated[float, "points"]` is a float whose unit is points.
"""

from typing import Annotated, TypedDict, get_type_hints

Fraction = Annotated[float, "fraction"]  # in [0, 1]
Samples = Annotated[int, "samples"]
Images = Annotated[int, "images"]
PerClass = list[int]  # k counts of test images, position = predicted label
Seconds = Annotated[float, "seconds"]
L2 = Annotated[float, "L2 norm in the pixel units of the data set's bounds"]


class Setting(TypedDict):
    """What two rows must share to be compared; only their seed and attack may differ."""

    experiment: str
    dataset: str
    dataset_note: str  # may be ""
    model: str  # for instance "VGG-3 width 16"
    unlearning: str  # for instance "first_order"
    fidelity: str  # "equation", "authors_code" or "corrected"; "none" for a method without readings
    tau: float | None  # null where the method has none
    scope: str  # which parameters are unlearned
    goal: str  # "untargeted", or the name of the class that is pushed towards
    request_labels: str  # which label is submitted
    class_a_name: str  # the class of the request
    class_b_name: str  # another class
    fraction: Fraction  # part of class A's training samples that is requested


class Required(Setting):
    """What every row has, in files of any age."""

    cell: str  # unique in the file
    attack: str  # one of `attack_names.ATTACK_NAMES`
    seed: int
    requested: Samples  # the attacker started from
    submitted: Samples  # in the request
    skipped: Samples  # the model was already wrong about them
    failed: Samples  # never crossed the decision boundary
    class_names: list[str]  # k, position = label
    overall_before: Fraction | None
    class_a_before: Fraction | None
    class_b_before: Fraction | None
    overall: Fraction | None
    class_a: Fraction | None
    class_b: Fraction | None
    per_class: list[float | None] | None  # k fractions; null for a class without samples
    class_a_predicted_before: PerClass  # how often class A's test images are predicted as each class
    class_a_predicted: PerClass | None  # after unlearning
    label_agreement: Fraction | None  # of the submitted labels that equal the deployed model's prediction
    ssim_mean: float | None  # against the original images
    l2_mean: L2 | None  # of submitted - original
    l2_max: L2 | None
    queries: Images  # sent to the black box for the request; choosing its samples cost requested + skipped more
    steps_median: float | None  # null for an attack without steps
    seconds_attack: Seconds
    seconds_unlearn: Seconds


class Row(Required, total=False):
    """A row with what is also written, and missing in rows of older runs or of services that do not offer it.

    In the file there is one key more, `digest`: see `overunlearn_jax.digests`.
    """

    blending_ratio: Fraction
    victim: str  # the name of the service's predictions
    forgetting_name: str  # the name of how it forgets
    overall_train_before: Fraction | None  # on the training images
    class_b_test_images: Images  # that the test accuracy of class B is of
    lpips_mean: float | None  # against the original images
    same_side_in_8_bits: Fraction  # of the submitted images that are predicted alike after rounding to 8 bits
    saw_nothing: Samples  # among the failed: no probe around them was answered otherwise than they themselves
    weights_changed: bool | None  # whether unlearning changed any weight; null where the service offers none
    diverged: bool  # true where unlearning blew up, missing elsewhere; what is measured after it is null beside it
    diverged_because: str  # beside it: what the method says of that
    class_a_right_predicted: PerClass | None  # as class_a_predicted, of images that were predicted rightly before
    matched_to_original: Fraction  # of the submitted images that the service took for their own original
    gradient_evaluations: int | None  # null where nobody counted
    # What the service's defences did about the request; missing where it has none.
    refused: Samples  # of the submitted ones; they were not forgotten
    refused_by: dict[str, int]  # samples by gate; one that two gates refuse counts for both
    refused_because: str  # in a line; empty where nothing was refused
    step_kept: Fraction  # of the length of the unlearning step that a bound left
    # What forgetting is told by: of the unlearned model, and with `_before` and `_retrained` of the others.
    forget_accuracy: Fraction | None
    retain_accuracy: Fraction | None
    js_to_retrained: float | None  # Jensen-Shannon distance, root of bits, within 0 ... 1
    relearn_steps: int | None
    confidence_auc: Fraction | None
    confidence_tpr_at_1_fpr: Fraction | None
    lira_auc: Fraction | None
    lira_tpr_at_1_fpr: Fraction | None
    forgetting_not_measured: str  # why some of these are missing


SETTING_KEYS = tuple(get_type_hints(Setting))
REQUIRED_KEYS = tuple(get_type_hints(Required))
WALL_TIMES = ("seconds_attack", "seconds_unlearn")  # what differs where the same cell is run again
# Test accuracies: fractions in [0, 1], or null.
ACCURACY_KEYS = ("overall_before", "class_a_before", "class_b_before", "overall", "class_a", "class_b")
