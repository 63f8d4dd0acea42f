"""Arrays, labels, the trace, operations and Blocks: the part that everything else is written in."""
