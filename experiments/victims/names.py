"""Names of services that are known by their answers: stored, and found again within the noise of asking twice."""

from pathlib import Path

from overunlearn_jax.files import read_npz, write_npz
from overunlearn_jax.services.fingerprint import Answers, answers_digest, same


class NameStore:
    """Answers on disk, by what they are of and by their names.

    Two services whose answers to the asked images are the same within that noise have one name, however they answer
    other images.
    """

    def __init__(self, directory: Path):
        self._directory = directory

    def find_or_add(self, kind: str, answers: Answers) -> str:
        """The name of stored answers that are the same, or of these, which are then stored."""
        folder = self._directory / kind
        for path in sorted(folder.glob("*.npz")):
            if same(_read(path), answers):
                return path.stem
        name = answers_digest(answers)
        write_npz(folder / f"{name}.npz", probabilities=answers.probabilities, noise=answers.noise)
        return name


def _read(path: Path) -> Answers:
    stored = read_npz(path, Answers._fields, "delete it, and the service is named anew")
    return Answers(stored["probabilities"], float(stored["noise"]))
