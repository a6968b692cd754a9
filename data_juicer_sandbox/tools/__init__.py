"""Small programs that accompany the package: `python -m data_juicer_sandbox.tools.<name> --help`."""
