"""Making renditions of photos that were indexed before, as a job: which photos, sending them, recording what came."""
