"""Can anyone tell what a model forgot? U-LiRA and KLOM, of models that each forgot their half of the same samples."""
