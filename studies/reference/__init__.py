"""The strategies of this project compared with Avalanche's own on the same stream."""
