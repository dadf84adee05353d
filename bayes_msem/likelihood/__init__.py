"""Kernels of the marginal likelihood and the PyTensor operations around them."""
