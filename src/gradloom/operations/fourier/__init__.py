"""Fourier transforms and their frequencies."""
