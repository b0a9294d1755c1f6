"""Files of this machine scanned in processes of their own."""
