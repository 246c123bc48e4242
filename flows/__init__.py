"""When and where: Prefect flows and the command line. Nothing is computed here."""
