"""The public words: what MATLAB calls them, and what is said of a name that there is not."""
