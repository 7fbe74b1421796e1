"""Who runs the model: this process, spawned workers, a Ray cluster; and which share of a run is theirs."""
