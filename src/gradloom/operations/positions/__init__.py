"""Operations that find positions: sorting, searching, interpolation."""
