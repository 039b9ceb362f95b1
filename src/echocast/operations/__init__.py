"""Operations: watch a radar feed and publish a forecast after each new frame.

`watching.Watch` is the service; its parts are small and stand alone: what sources hold (`sources`), which files are
ready to be read (`readiness`), the frames on disk (`frames`), the rules that say what a frame is worth and which issues
are due (`rules`, `clock_rules`), the process that reads and computes (`jobs`, `worker`), and the folder that readers
see (`layout`, `publishing`, `retention`). Time is a parameter everywhere (`clocks`).
"""
