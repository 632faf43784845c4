"""What Sphinx and its theme leave out for people who read with a keyboard or a screen reader; found with axe.

* Captions of the navigation are headings without a level.
* Code and tables that are wider than the page scroll, and nothing in them can be reached by a keyboard.
* Pictures of notebooks are described by the name of a file.
* Parameters of a long signature, one a line, stand in a list of definitions that defines nothing.
"""

import re
from typing import Any

_FILE_NAME = re.compile(r'alt="[./]*_images/[0-9a-f]{64}\.png"')
_PARAMETERS = re.compile(r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>")


def mend(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Sphinx calls it with each page, after the theme has made its navigation."""
    del app, pagename, templatename, doctree  # Unused: Sphinx gives them.
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            context[part] = mended(context[part])


def mended(html: str) -> str:
    """The same page with what is missing.

    >>> mended('<p class="caption" role="heading">Use it</p>')
    '<p class="caption" role="heading" aria-level="2">Use it</p>'
    >>> mended("<dl>\\n<dd>one,</dd>\\n<dd>other,</dd>\\n</dl>")
    '<span class="sig-line">one,</span>\\n<span class="sig-line">other,</span>\\n'
    """
    html = html.replace('role="heading">', 'role="heading" aria-level="2">').replace("<pre>", '<pre tabindex="0">')
    html = html.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
    html = _FILE_NAME.sub('alt="What the code above draws"', html)
    return _PARAMETERS.sub(lambda found: re.sub("<dd>(.*)</dd>", r'<span class="sig-line">\1</span>', found[1]), html)
