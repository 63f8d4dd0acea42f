"""Arrays, labels, the trace and operations: the part that everything else is written in."""
