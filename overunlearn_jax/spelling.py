"""Names that are nearly right."""

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Ends an error message on an unknown name: "; did you mean sisa?", or nothing where no known name is near."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), folded, n=2)
    return f"; did you mean {' or '.join(folded[name] for name in close)}?" if close else ""
