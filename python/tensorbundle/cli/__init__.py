"""The command ``tensorbundle``: one module for each of its commands."""
