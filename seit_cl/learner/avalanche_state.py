"""The state of an Avalanche plugin as numbers, tensors and containers of them, which a checkpoint can hold without pickling."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from avalanche.training.storage_policy import ExemplarsBuffer
from avalanche.training.utils import ParamData
from torch import Size, Tensor, nn

from seit_cl.core.errors import UserError

if TYPE_CHECKING:
    from seit_cl.learner.learner import Learner

_PLAIN = (type(None), bool, int, float, str)


def pack_object(value: Any) -> Any:
    """Anything that a plugin holds, down to its tensors.

    Raises:
        UserError: it holds a thing of another kind, such as a loader of samples.
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
        return {
            "object": {
                name: pack_object(part)
                for name, part in vars(value).items()
                if not _is_memory(part)
            }
        }
    raise UserError(
        f"the plugin holds a {type(value).__name__}: it cannot be measured or resumed; use another plugin"
    )


def _is_memory(value: Any) -> bool:
    """Whether this is the run's memory, which is saved by itself."""
    return isinstance(value, ExemplarsBuffer)


def unpack_object(now: Any, state: Any, learner: Learner) -> Any:
    """What `pack_object` was given; objects and dictionaries of a plugin just built are filled in place.

    Args:
        now: what the plugin has at that place.
        state: from pack_object.
        learner: its model is what copies of models are made from.
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
        found = {
            unpack_object(None, key, learner): unpack_object(None, part, learner)
            for key, part in state["pairs"]
        }
        if not isinstance(now, dict):
            return found
        now.clear()
        now.update(found)
        return now
    if "parts" in state:
        kinds: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "Size": Size}
        return kinds[state["kind"]](unpack_object(None, part, learner) for part in state["parts"])
    for name, part in state["object"].items():
        setattr(now, name, unpack_object(getattr(now, name, None), part, learner))
    return now
