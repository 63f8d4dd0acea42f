"""The kinds of operations, one class each: how an operation of that kind is pulled and pushed."""
