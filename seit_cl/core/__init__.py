"""Code without knowledge of the domain: errors, plugins, files, devices, random numbers, progress."""
