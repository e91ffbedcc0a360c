"""ACTS. Everything asynchronous: clock, upstream, pace, flights, signatures, and the executor that carries out plans."""
