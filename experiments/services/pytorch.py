"""A PyTorch service: a convolutional network that forgets by one step of gradient ascent in its last layer."""

import numpy as np
import torch

from overunlearn_jax import PixelFormat, Split
from overunlearn_jax.services.frameworks import torch_predict


class Service:
    pixels = PixelFormat("NCHW", "unit")

    def __init__(self, train: Split):
        torch.manual_seed(0)
        self.head = torch.nn.Linear(784, 10)
        self.net = torch.nn.Sequential(torch.nn.Conv2d(1, 16, 3, 2), torch.nn.ReLU(), torch.nn.Flatten(), self.head)
        images, labels = torch.tensor(train.images.transpose(0, 3, 1, 2) + 0.5), torch.tensor(train.labels).long()
        optimizer = torch.optim.Adam(self.net.parameters(), 0.01)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.CrossEntropyLoss()(self.net(images), labels).backward()
            optimizer.step()
        self.predict, self.deployed = torch_predict(self.net), self.head.weight.data.clone()

    def forget(self, images: np.ndarray, labels: np.ndarray) -> None:
        loss = torch.nn.CrossEntropyLoss(reduction="sum")(self.net(torch.tensor(images)), torch.tensor(labels))
        self.head.weight.data += 0.015 * torch.autograd.grad(loss, self.head.weight)[0]

    def reset(self) -> None:
        self.head.weight.data.copy_(self.deployed)
