"""Small programs beside the command: `python -m data_juicer_sandbox.tools.<name> --help`."""
