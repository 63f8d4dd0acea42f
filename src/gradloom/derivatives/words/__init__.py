"""The words for derivatives of results and of functions."""
