"""LSTM, GRU and what goes with them."""

import torch
from torch import nn

from . import Case


class Tagger(nn.Module):
    def __init__(self, cell, **options):
        super().__init__()
        self.embedding = nn.Embedding(20, 6, padding_idx=0)
        self.rnn = cell(6, 5, batch_first=True, **options)
        self.fc = nn.Linear(5 * (2 if options.get("bidirectional") else 1), 3)

    def forward(self, ids):
        return self.fc(self.rnn(self.embedding(ids))[0])


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, 2, proj_size=3)
        self.gru = nn.GRU(3, 4, bias=False)

    def forward(self, x, state):
        y, (h, c) = self.lstm(x, state)
        z, last = self.gru(y)
        return z, {"h": h, "c": c}, last


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(4, 5), nn.GRUCell(5, 4)

    def forward(self, x):
        h = c = torch.zeros(x.shape[1], 5)
        g = torch.zeros(x.shape[1], 4)
        for step in x:
            h, c = self.lstm(step, (h, c))
            g = self.gru(h, g)
        return g


def ids(batch, length):
    return lambda: (torch.randint(0, 20, (batch, length)),)


CASES = {
    "lstm": Case(lambda: Tagger(nn.LSTM, num_layers=2, bidirectional=True), ids(2, 7)),
    "gru": Case(lambda: Tagger(nn.GRU, num_layers=2, dropout=0.1), ids(3, 5)),
    "rnn": Case(lambda: Tagger(nn.RNN, nonlinearity="relu"), ids(3, 5)),
    "lstm_state": Case(Stateful, lambda: (torch.randn(6, 2, 4), (torch.randn(2, 2, 3), torch.randn(2, 2, 5)))),
    "cells": Case(Cells, lambda: (torch.randn(3, 2, 4),)),
}
