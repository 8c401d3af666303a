"""SchemaGen: infers a schema from statistics."""
