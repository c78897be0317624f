"""What the program was told to do: flags, environment and configuration file, in that order."""
