"""What breaks under the runtime: owners of a task that change, die, freeze or are too late; and the log they read."""
