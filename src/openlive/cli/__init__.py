"""The command line: one module per command. What needs time to import is imported by the command that needs it."""

from __future__ import annotations

import click

from openlive.cli.bench import bench as _bench
from openlive.cli.check import check as _check
from openlive.cli.demo import demo as _demo
from openlive.cli.errors import Friendly
from openlive.cli.models import models as _models
from openlive.cli.run import run as _run
from openlive.cli.serve import serve as _serve
from openlive.cli.talk import talk as _talk
from openlive.cli.voices import voices as _voices


@click.group(
    cls=Friendly,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `openlive serve`, then in another terminal `openlive run -- python my_app.py`.",
)
@click.version_option(package_name="openlive", message="openlive %(version)s")
def main() -> None:
    """A server for Google's Live API on this machine, with models of your own.

    Programs written with Google's SDKs talk to it unchanged: only the address and the key differ. Without any
    configuration it hears, thinks and speaks with small models that run on the processor of this machine.
    """


for _command in (_serve, _run, _talk, _demo, _check, _models, _voices, _bench):
    main.add_command(_command)
