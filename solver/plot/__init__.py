"""Figures for print, from a sweep's Dataset or a game: matplotlib Figures, which the caller saves."""
