"""A network and a torch dataset of one's own in a run of the suite.

Prints the accuracy after each experience and the bytes of the model; takes about 20 seconds.
"""

from torch import nn
from torchvision.datasets import FakeData

from seit_cl import RunConfig, from_torch, run_experiment

train, test = (FakeData(size, (3, 32, 32), num_classes=4, random_offset=size) for size in (200, 40))
body = [nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
model = nn.Sequential(*body, nn.Linear(16, 4))  # its last linear layer is the head
config = RunConfig(learner="pixels", format="jpeg", memory_mb=0.02, experiences=2, epochs=1)
dataset = from_torch(train, test, name="noise")
result = run_experiment(config, "runs/own", model=model, dataset=dataset)
print([round(accuracy, 3) for accuracy in result.accuracies], result.facts["model_bytes"])
