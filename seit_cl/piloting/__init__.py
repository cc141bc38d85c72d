"""A pilot: own photographs to a decision about their storage, for `seit_cl.pilot`."""
