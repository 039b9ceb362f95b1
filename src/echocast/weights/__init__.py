"""Weights that ship with echocast, one safetensors file a model, each with its model card."""
