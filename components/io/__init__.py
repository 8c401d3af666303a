"""Files, local and remote, and what they hold: TFRecord, examples, records, vocabularies."""
