"""Alerts: rules on areas, judged on each issue; what they raise is told to channels, at least once.

::

    alerts.toml -> config.load -> rules, areas, channels
    issue -> readings (a number for each rule and area) -> states (inactive, pending, active) -> messages
    messages -> alerts-state.json (with the states, in one step) -> outbox -> delivery -> channels

`service.AlertService` is what the service holds; `evaluation` is pure, and `replay` runs it on an archive.
"""
