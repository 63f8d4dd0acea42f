"""Where a monitor shows training: console, notebook, TensorBoard, a page on this machine, a report in a file."""
