"""Torch code on dlarrays, through the ATen operations that it is made of."""
