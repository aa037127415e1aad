"""The fault harness: what a test of faults needs to say what was lost, what ran twice, and whether that is on record.

In a test, with an app whose jobs write into a sink (``support.faults.jobs`` has some)::

    sink = Sink(tmp_path / "sink.db")               # outside the Redis under test; handlers get its path by payload
    log = ProducerLog(tmp_path / "producer.log")    # one fsynced line a try
    with log.trying(job_id, nonce):                 # ACK, ERROR or UNKNOWN, by what the block raises
        app.enqueue(...)
    ...                                             # inject the fault, recover, wait until all is quiet: ``quiesced``
    assert_invariants(gather(redis_url, sink, log)) # all of I1-I8; each is a function of its own in ``invariants``

``census`` reads a whole Redis, ``invariants`` judges it, ``jobs`` is a plugin to put under fire.
"""
