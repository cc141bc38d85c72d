"""The memory as storage policy of Avalanche's ReplayPlugin, on digits of 28 x 28 grey floats.

Prints the exemplars and bytes after each experience; takes a few seconds.
"""

import torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.supervised import Naive

from seit_cl import ByteBudgetBuffer

data = torch.utils.data.TensorDataset(torch.rand(600, 1, 28, 28), torch.arange(600) % 10)
data.targets = data.tensors[1].tolist()  # type: ignore[attr-defined]  # Avalanche reads it
digits = as_classification_dataset(data)  # type: ignore[arg-type]
benchmark = class_incremental_benchmark({"train": digits, "test": digits}, num_experiences=5)
memory = ByteBudgetBuffer.of("png", budget_bytes=50_000, classes=10, resolution=28)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
strategy = Naive(
    model=model,
    optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
    train_mb_size=32,
    plugins=[memory.replay_plugin(benchmark)],
)
for experience in benchmark.train_stream:
    strategy.train(experience)
    print(f"{len(memory)} exemplars in {memory.used_bytes} of {memory.budget_bytes} bytes")
