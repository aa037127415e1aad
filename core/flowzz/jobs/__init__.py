"""What a job is: definition, payload, options, context, outcome, retry policy. Pure values, no I/O."""
