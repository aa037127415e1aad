"""The engine: RQ's data, atomic transitions. The only room that imports rq or redis."""
