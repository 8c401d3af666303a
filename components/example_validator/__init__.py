"""ExampleValidator: compares statistics with the schema."""
