"""A grid of runs, its results as a DataFrame, and its report.

Prints exemplars and accuracy of each format, and the path of report.html; takes about 30 seconds.
"""

from seit_cl import RunConfig, build_report, read_runs, run_grid

config = RunConfig(memory_mb=0.01, experiences=2, epochs=1)
run_grid(config, "runs/grid", format=["tokens", "jpeg"])
table = read_runs("runs/grid").frame()  # the columns of summary.csv, a row for every run
print(table[["format", "exemplars", "final_accuracy"]])
print(build_report("runs/grid"))
