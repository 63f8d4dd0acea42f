"""Arrays from nothing: filled, drawn at random, and what types their elements have."""
