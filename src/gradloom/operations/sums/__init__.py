"""Operations along axes: sums, products, extremes, running ones."""
