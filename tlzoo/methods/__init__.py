"""The methods: plain torch, one file a paper. :mod:`tlzoo.registry` lists them."""
