"""Derivatives that users state themselves, and their check."""
