"""The connection to PostgreSQL that catalog, log and locks share (docs/catalog-and-log.md)."""
