"""Tools that make the generated files of the Helm chart."""
