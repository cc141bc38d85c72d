"""State of Avalanche plugins as tensors, numbers and containers, for checkpoints without pickle."""

from __future__ import annotations

import copy
from typing import Any

from avalanche.training.storage_policy import ExemplarsBuffer
from avalanche.training.utils import ParamData
from torch import Size, Tensor, nn

from seit_cl.core.errors import UserError
from seit_cl.learner.interfaces import LearnerView

_PLAIN = (type(None), bool, int, float, str)
_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "Size": Size}


def pack_object(value: Any) -> Any:
    """Convert a plugin, or any part of it, to tensors, numbers and containers of them.

    The run's memory is left out: it is saved separately.

    Raises:
        UserError: a part of another type, such as a loader of samples.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, nn.Module):
        return {"module": value.state_dict()}
    if isinstance(value, ParamData):
        return {"parameter": value.data, "name": value.name, "device": str(value.device)}
    if isinstance(value, dict):
        return {"pairs": [[pack_object(key), pack_object(part)] for key, part in value.items()]}
    if isinstance(value, list | tuple | set | Size):
        return {"parts": [pack_object(part) for part in value], "kind": type(value).__name__}
    if type(value).__module__.startswith("avalanche."):
        packed = {}
        for name, part in vars(value).items():
            if not isinstance(part, ExemplarsBuffer):
                packed[name] = pack_object(part)
        return {"object": packed}
    raise UserError(
        f"the plugin holds a {type(value).__name__}: it cannot be measured or resumed; "
        "use another plugin"
    )


def unpack_object(current: Any, state: Any, learner: LearnerView) -> Any:
    """Invert `pack_object`; a new plugin's objects and dictionaries are filled in place.

    Args:
        current: the new plugin, or the part of it in the place of the state.
        state: from pack_object.
        learner: gives the device, and the model that copies of models start from.
    """
    if isinstance(state, Tensor):
        return state.to(learner.device)
    if not isinstance(state, dict):
        return state
    if "module" in state:
        model = copy.deepcopy(learner.model)
        model.load_state_dict(state["module"])
        return model
    if "parameter" in state:
        data = state["parameter"].to(state["device"])
        return ParamData(state["name"], data.shape, init_tensor=data, device=state["device"])
    if "pairs" in state:
        return _unpack_dict(current, state["pairs"], learner)
    if "parts" in state:
        container = _CONTAINERS[state["kind"]]
        return container(unpack_object(None, part, learner) for part in state["parts"])
    for name, part in state["object"].items():
        setattr(current, name, unpack_object(getattr(current, name, None), part, learner))
    return current


def _unpack_dict(current: Any, pairs: list[Any], learner: LearnerView) -> Any:
    unpacked = {}
    for key, part in pairs:
        unpacked[unpack_object(None, key, learner)] = unpack_object(None, part, learner)
    if not isinstance(current, dict):
        return unpacked
    current.clear()
    current.update(unpacked)
    return current
