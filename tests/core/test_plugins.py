"""Plugins: every one of them has the shape that seit_cl.core.plugins describes."""

from dataclasses import fields, is_dataclass

import pytest

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument_label

PLUGINS: list[tuple[str, str]] = []
for plugin_kind in plugins.KINDS:
    PLUGINS += [(plugin_kind, name) for name in sorted(plugins.names(plugin_kind))]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_plugin_has_options_a_source_and_a_way_to_build_it(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)
    assert callable(plugin.build)
    assert getattr(plugin, "paper", "") or getattr(plugin, "source", "")
    assert is_dataclass(plugin.Options)
    assert plugin.Options.__dataclass_params__.frozen
    assert fields(plugin.Options) or not argument_label(plugin.Options)


@pytest.mark.parametrize("kind", sorted(plugins.KINDS))
def test_an_unknown_name_is_refused_with_the_kind(kind: str) -> None:
    with pytest.raises(UserError, match=f"unknown {kind} 'no-such'"):
        plugins.load(kind, "no-such")
