"""Recurrent layers and losses of sequences."""
