"""What this host has seen and must not forget: in small files of its own (default), and a twin in memory."""
