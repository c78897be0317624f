"""Following: keeping a sink in step with what an API server holds, through every failure."""
