"""Planted faults: an engine that breaks a promise, to see that it is noticed.

A proof that cannot fail proves nothing. So each promise is broken on purpose, by a change of
one or two functions of the engine for as long as a run lasts, and the checker must say which
promise was broken; without the fault, it must find the same runs good.

    planting   what a fault is, and how it is planted
    storing, showing, telling, deleting, banning, bounding     the faults
    scenes     what is played meanwhile: small worlds, and two overloads
    trial      a fault, on some seeds
    command    `python -m triolet.testing faults`
"""
