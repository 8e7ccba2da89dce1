"""`ditto` as a command: `ditto_tools.cli`, which takes a second to load."""

import signal


def main() -> None:
    """Loads and runs the command. An interrupt before there is anything to clean up just ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ditto_tools import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
