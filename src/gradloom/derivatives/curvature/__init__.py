"""Divergences and Laplacians, from one walk that carries first and second order."""
