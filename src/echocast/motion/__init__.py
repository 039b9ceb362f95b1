"""Parts that obey physics: motion and advection."""
