"""Operations that move elements, or take some of them: shapes, indices, joins, writes."""
