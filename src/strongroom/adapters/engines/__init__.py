"""Engines that run inert model formats inside the worker; one file each, loaded before the locks."""
