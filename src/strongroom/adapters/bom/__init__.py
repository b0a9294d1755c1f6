"""Bills of materials in the formats that others read."""
