"""How well a changed request hides: pixel distances, SSIM, LPIPS, labels."""
