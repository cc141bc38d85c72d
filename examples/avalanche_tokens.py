"""A memory of tokens in Avalanche's Replay, on pictures with transforms of their own.

A picture is stored before its transforms, which apply to the decoded exemplar as to a new picture.
Prints the exemplars and bytes after each experience; takes a few seconds.
"""

import torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.supervised import Replay
from torchvision.datasets import FakeData
from torchvision.transforms import Compose, Normalize, RandomHorizontalFlip, ToTensor

from seit_cl import ByteBudgetBuffer, open_tokenizer

pictures = FakeData(200, image_size=(3, 32, 32), num_classes=10)
pictures.targets = [int(label) for _, label in pictures]  # type: ignore[attr-defined]
tensor = Compose([ToTensor(), Normalize(0.5, 0.25)])
groups = {"train": (Compose([RandomHorizontalFlip(), tensor]), None), "eval": (tensor, None)}
data = as_classification_dataset(pictures, transform_groups=groups)  # type: ignore[arg-type]
benchmark = class_incremental_benchmark({"train": data, "test": data}, num_experiences=5)
memory = ByteBudgetBuffer.of(
    "tokens", budget_bytes=2_000, classes=10, resolution=32, tokenizer=open_tokenizer()
)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
strategy = Replay(
    model=model,
    optimizer=torch.optim.SGD(model.parameters(), lr=0.001),
    criterion=torch.nn.CrossEntropyLoss(),
    train_mb_size=32,
)
memory.use_in(strategy, benchmark)  # in place of the storage that Replay makes
for experience in benchmark.train_stream:
    strategy.train(experience)
    print(f"{len(memory)} exemplars in {memory.used_bytes} of {memory.budget_bytes} bytes")
