"""What ties the stages together: metadata store, runner, methods, command line, report."""
