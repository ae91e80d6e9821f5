"""The API's paths: each a guard and one call; what they answer is in `codemie_core/admin/`."""
