"""Small nets of many kinds, for archives of torch.export. CASES of each module: name -> Case."""

import dataclasses
from typing import Any, Callable


@dataclasses.dataclass
class Case:
    """A net and what to call it with."""

    build: Callable[[], Any]
    args: Callable[[], tuple]
    kwargs: Callable[[], dict] = dict
    dynamic: Any = None  # dynamic_shapes of torch.export
    others: list = dataclasses.field(default_factory=list)  # more calls: functions that give args
    train: bool = False
    decompose: bool = False
    strict: bool = False
    only: tuple = ()  # versions of torch that it is exported with; () for all
