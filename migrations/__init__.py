"""The history of the schema. The package is installed with the service and run from there."""
