"""What a run does, as OpenLineage events for a catalogue such as Marquez or DataHub. Who does not ask for them needs no client."""
