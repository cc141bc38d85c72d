"""Domain-free code: errors, plugins, files, devices, random numbers, progress."""
