"""Where gateways leave their journals."""
