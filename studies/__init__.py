"""Research that fills docs/results, each study one command."""
