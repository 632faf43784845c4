"""Rows of an honest and a malicious request, with as much in them as claims are made of."""


def rows(harms: list[float], attack: str = "pushing_1", **more: object) -> list[dict]:
    before = {
        "class_a_before": 0.85,
        "class_b_before": 0.5,
        "overall_before": 0.7,
        "class_a_predicted_before": [1700, 300],
    }
    after = {"class_b": 0.5, "overall": 0.7, "class_a_predicted": [1600, 400], "weights_changed": True}
    names = {"class_a_name": "cat", "class_b_name": "dog"}
    common = {"fraction": 0.1, "fidelity": "none", "tau": None} | before | after | names | more
    honest = [{"seed": seed, "attack": "normal", "class_a": 0.8} | common for seed in range(len(harms))]
    return honest + [
        {"seed": seed, "attack": attack, "class_a": 0.8 - harm} | common for seed, harm in enumerate(harms)
    ]


def diverging(attack: str, seeds: tuple[int, ...]) -> list[dict]:
    """Three seeds without harm, but for those where unlearning diverges after `attack`."""
    lost = {"class_a": None, "class_b": None, "diverged": True, "diverged_because": "weights are NaN"}
    return [row | (lost if row["attack"] == attack and row["seed"] in seeds else {}) for row in rows([0.0, 0.0, 0.0])]
