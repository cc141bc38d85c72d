"""One file per figure or table of the report; seit_cl.core.plugins finds them."""
