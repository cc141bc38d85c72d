"""Scenario plugins: one file each, discovered by seit_cl.core.plugins."""
