"""Every command and every option has help."""

import click
import pytest

from sac_wsi.cli import cli


def commands(group=cli, words=("sac-wsi",)):
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


ALL = [pytest.param(words, command, id=" ".join(words)) for words, command in commands()]


@pytest.mark.parametrize(("words", "command"), ALL)
def test_a_command_has_help_and_an_example_of_itself(words, command):
    text, example = command.help.split("Example:")
    assert text.strip().split("\n")[0].endswith(".")
    assert " ".join(words) in example


@pytest.mark.parametrize(("words", "command"), ALL)
def test_every_option_has_help(words, command):
    options = [param for param in command.params if isinstance(param, click.Option)]
    missing = [option.name for option in options if not (option.help or "").strip()]
    assert not missing


def test_an_unknown_command_is_answered_with_a_near_one():
    with pytest.raises(click.UsageError, match="Did you mean segment"):
        cli.get_command(click.Context(cli), "segmnt")
