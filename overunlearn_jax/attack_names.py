"""What a reader calls each request: the one spelling of every table, figure, verdict and page."""

HONEST = "normal"
CONTROL = "noise"
CONTROLS = (HONEST, CONTROL)  # that attack nobody
REPEATED = "repeated"
ATTACKS = (HONEST, CONTROL, "blending", "pushing_1", "pushing_2")  # the paper's, and what they are compared with
ATTACK_NAMES = {  # in the order of every table and figure
    HONEST: "honest request",
    CONTROL: "noise control",
    "blending": "blending",
    "pushing_1": "Pushing-I",
    "pushing_2": "Pushing-II",
    REPEATED: "one sample repeated",
}
PAPER_HONEST = "Normal unlearning"  # the paper's name of the honest request, in the layout of its own tables


def attack_name(attack: str, *, at_start: bool = False) -> str:
    """Returns what a reader calls an attack of a row; a name not known here is returned as it is.

    Examples:
      >>> attack_name("noise"), attack_name("noise", at_start=True)
      ('noise control', 'Noise control')

    Args:
      attack: as in a row, such as "pushing_1".
      at_start: whether the name begins a sentence or a cell, and so has a capital.
    """
    name = ATTACK_NAMES.get(attack)
    if name is None:
        return attack
    return name[0].upper() + name[1:] if at_start else name
