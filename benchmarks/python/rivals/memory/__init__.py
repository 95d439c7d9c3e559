"""Memory that a whole checkpoint takes beside the page cache."""
