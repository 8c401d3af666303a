"""ExampleGen: reads a source into splits of examples."""
