"""Alembic migrations of the catalog; they travel inside the package and run when a home is opened."""
