"""`ditto` as a command: `ditto_tools.cli`, which takes a second to load."""

from ditto_tools.signals import Interruption


def main() -> None:
    """Loads and runs the command."""
    interruption = Interruption()
    from ditto.runtime.transport.runtime_folder import close_all
    from ditto_tools import cli

    interruption.unwind(close_all)
    try:
        cli.main()
    finally:
        interruption.finish()


if __name__ == "__main__":
    main()
