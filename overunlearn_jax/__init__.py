"""Measures over-unlearning: how much more a malicious unlearning request makes a model forget than an honest one.

    dataset -> train a victim -> [black box] -> attack crafts a request -> unlearn -> evaluate -> report

Sub-modules: `types` (read first), `data`, `models`, `training`, `black_box`, `pixel_edit`, `attacks`, `unlearn`,
`evaluation`, `stealth`, `reporting`. The names below are the ones that most scripts need.
"""

import lazy_loader

# Names are listed in the .pyi file beside this one, and imported when they are first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
