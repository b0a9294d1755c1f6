"""Spreadsheets that an inventory is kept in elsewhere."""
