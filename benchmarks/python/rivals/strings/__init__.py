"""One string tensor as an object array, from a reader that is open."""
