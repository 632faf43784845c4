"""From a class's samples to requests: searches, pushed samples on disk, request files."""
