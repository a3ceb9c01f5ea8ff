"""The command `calm`. Only this package prints and turns errors into exit codes."""

from orchestrator.cli.endings import stopped_at_once

with stopped_at_once():
    from orchestrator.cli import (  # noqa: F401 - importing them adds their commands to `main`
        bundle,
        choose,
        compare,
        data,
        denoise,
        environments,
        export,
        inspect,
        predict,
        provenance,
        reproduce,
        runs,
        status,
        sweep,
    )
    from orchestrator.cli.root import main

__all__ = ["main"]
