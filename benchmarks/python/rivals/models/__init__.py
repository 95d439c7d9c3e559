"""SavedModels: their variables, and what is shown of them."""
