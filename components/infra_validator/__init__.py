"""InfraValidator: asks the SavedModel in a clean process."""
