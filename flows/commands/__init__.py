"""The commands, one module for each group; importing a module adds its commands to the application."""
