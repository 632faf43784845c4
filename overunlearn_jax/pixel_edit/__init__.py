"""Answers one-pixel probes of a local victim from the activations of the unchanged image.

A probe changes one pixel, so in every layer only a small window around it changes. `answer_probes` walks through the
victim's own jaxpr and carries that window from layer to layer, whatever network the jaxpr came from; the layers that
it has no rule for, and those whose window is as large as the map, are computed as usual. The numbers are those of the
whole forward pass, up to rounding. It knows layers, not attacks.

* `answers.py`: from probes to answers, and whether that saves anything
* `edited.py`: what a locally changed feature map is
* `layers.py`, `windows.py`: one rule for each kind of layer
* `_walk.py`: the way through the jaxpr
"""

from overunlearn_jax.pixel_edit.answers import answer_probes, saving

__all__ = ["answer_probes", "saving"]
