"""The process that faces the network: identity, permission, validation, batching, records. No model here."""
