"""An experiment from a script, with the files and numbers of `python -m seit_cl.run`.

Prints the accuracy after each experience, then the exemplars in the memory; takes about 20 seconds
at first, and no time when it is started again: the run is finished.
"""

from seit_cl import RunConfig, run_experiment

config = RunConfig(format="jpeg:quality=75", memory_mb=0.02, experiences=2, epochs=1)
result = run_experiment(config, out="runs/experiment")
print([round(accuracy, 3) for accuracy in result.accuracies])
print(f"{result.facts['exemplars']} exemplars in {result.facts['used_bytes']} bytes")
print(result.memory_file, result.memory().counts_per_class().tolist())
