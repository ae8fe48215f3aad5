"""Runs cells: in this process, in a pool of workers, on several devices or on a cluster, with the same results.

From the cells of a suite to stored outcomes:

1. ``runner`` finds the cells that the store lacks and gives them to an executor (``executor_names`` finds it by name);
2. the executor (``local_executors``, ``cluster_executors``) has each cell run here, in a worker process
   (``pool_worker``) or on another machine; ``waiting_cells`` leaves out cells that another run is working on, and
   ``resources`` says how many workers fit into memory;
3. ``one_cell`` runs a cell with fixed seeds and stores its outcome or its failure; for a cell on several devices it
   starts one process a device (``multi_device``, ``multi_device_worker``).
"""
