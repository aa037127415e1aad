"""WhatsApp for Flowzz: messages go out by the Cloud API, at most once, and their statuses come back by webhook."""
