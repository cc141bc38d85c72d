"""What python -m seit_cl.report is made of: runs of several folders, summary, figures, tables, what storing costs."""
