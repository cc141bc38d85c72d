"""A network handed over from Python, by its name."""

from dataclasses import dataclass

from seit_cl.core.specs import argument
from seit_cl.models import ModelContext
from seit_cl.models._handed import HandedModel


@dataclass(frozen=True)
class PythonOptions:
    """The network.

    Args:
        name: under which it was handed over (`seit_cl.models.hand_over`).
    """

    name: str = argument("NAME")


class PythonModel:
    """Network handed over from Python; without its process there is none."""

    source = "the user's"
    Options = PythonOptions

    @classmethod
    def build(cls, options: PythonOptions, context: ModelContext) -> HandedModel:
        """Build the model.

        Raises:
            UserError: no such network in this process.
        """
        return HandedModel(options.name, context)


MODEL = PythonModel
