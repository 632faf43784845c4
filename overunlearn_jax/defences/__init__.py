"""What a service can do about over-unlearning: gates on a request, bounds on an update, a monitor with rollback."""

import lazy_loader

# Names are listed in the .pyi file beside this one, and imported when they are first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
