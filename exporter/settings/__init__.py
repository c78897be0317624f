"""The settings of the program: flags, environment and configuration file, in that order."""
