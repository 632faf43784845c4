"""What can become of a claim, in a word and a colour."""

SAFE, VULNERABLE, UNDECIDED = "safe", "vulnerable", "undecided"
# Of claims on malicious requests where an honest one has left nothing that could be taken.
NOT_APPLICABLE = "not applicable"
INTACT, DESTROYED = "intact", "destroyed"  # of the model after an honest request

TONES = {
    SAFE: "good",
    INTACT: "good",
    VULNERABLE: "bad",
    DESTROYED: "bad",
    UNDECIDED: "open",
    NOT_APPLICABLE: "void",
}
PLAIN, CONTROL_TONE = "plain", "control"  # of numbers that nobody judges, and of the noise control's
# White text on the first five has a contrast of 6 : 1 and more. The word always stands beside the colour.
COLOURS = {
    "good": "#17693a",
    "bad": "#b3261e",
    "open": "#8a5300",
    "void": "#5a6372",
    PLAIN: "#0b5394",
    CONTROL_TONE: "#767f8d",
}


def tone(outcome: str) -> str:
    """Returns the colour of an outcome by name; that of numbers nobody judges for a word not known here."""
    return TONES.get(outcome, PLAIN)
