"""Who tries what: the search, its command line, and what becomes of its results."""
