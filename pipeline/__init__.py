"""What ties the stages together: metadata store, runner, catalogue, command line, report."""
