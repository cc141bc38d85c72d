"""The library of the report: runs of several folders, groups, figures, tables, costs, the page."""
