"""Starting an interpreter, with the package and without."""
