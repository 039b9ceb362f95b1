"""Parts that learn: recurrent convolutions and patches."""
