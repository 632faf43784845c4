"""What is attacked and audited, behind one wall: local JAX models and methods, and anything that can be called."""
