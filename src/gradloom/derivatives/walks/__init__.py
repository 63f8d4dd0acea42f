"""The walks over a trace: backwards, forwards, and what they have in common."""
