"""ATen's operations as functions of dlarrays, one family a file."""
